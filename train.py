"""Train a model: python train.py --preset mnist-jmvae-kl. All the work is in tf_jmvae.cli."""

import sys

from tf_jmvae.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]], prog="train.py"))
