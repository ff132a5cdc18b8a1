"""Studies: reproductions of the paper's experiments and others, one folder each, and their common code."""

from tf_jmvae._utils.extras import extra

with extra("report", "A study"):
    import jinja2  # noqa: F401
    import matplotlib  # noqa: F401
    import scipy  # noqa: F401
    import sklearn  # noqa: F401
