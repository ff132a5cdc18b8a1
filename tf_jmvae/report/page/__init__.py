"""A run as one HTML page to show to others: `write(run_dir)`."""

from tf_jmvae.report.page.page import write

__all__ = ["write"]
