"""`python -m tf_jmvae`: the same as `tf-jmvae`."""

import sys

from tf_jmvae.cli import main

if __name__ == "__main__":
    sys.exit(main())
