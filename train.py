"""Train a model: python train.py --preset mnist-jmvae-kl. All the work is in tf_jmvae.cli."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from tf_jmvae.cli import train

if __name__ == "__main__":
    sys.exit(train(sys.argv[1:], prog="train.py"))
