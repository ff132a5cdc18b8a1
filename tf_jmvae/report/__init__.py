"""Reports: plots of models, and the HTML page of a run."""

from tf_jmvae._utils.extras import extra

with extra("report", "A report"):
    import jinja2  # noqa: F401
    import matplotlib  # noqa: F401
    import sklearn  # noqa: F401
