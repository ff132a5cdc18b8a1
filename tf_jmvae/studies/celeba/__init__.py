"""The CelebA study: its plan, measurements and page."""
