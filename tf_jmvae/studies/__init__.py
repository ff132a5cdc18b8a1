"""The paper's experiments, run anew: a folder for each study, and what they have in common."""

from tf_jmvae._utils.extras import extra

with extra("report", "A study"):
    import jinja2  # noqa: F401
    import matplotlib  # noqa: F401
    import scipy  # noqa: F401
    import sklearn  # noqa: F401
