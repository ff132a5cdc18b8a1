"""The CelebA dataset, from its files to arrays."""

from tf_jmvae.data.celeba.dataset import CelebA, celeba, read
from tf_jmvae.data.celeba.lists import ATTRIBUTES

__all__ = ["ATTRIBUTES", "CelebA", "celeba", "read"]
