"""The MNIST study: its plan, measurements and page."""
