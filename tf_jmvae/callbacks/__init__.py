"""Keras callbacks: KL warm-up, checkpoints that survive a kill, a stop at NaN, a watch on the GAN, TensorBoard."""

from tf_jmvae.callbacks.checkpoint import Checkpoint
from tf_jmvae.callbacks.discriminator import DiscriminatorCollapse
from tf_jmvae.callbacks.divergence import StopAtDivergence
from tf_jmvae.callbacks.kl_warm_up import KLWarmUp
from tf_jmvae.callbacks.tensorboard import TensorBoard

__all__ = ["Checkpoint", "DiscriminatorCollapse", "KLWarmUp", "StopAtDivergence", "TensorBoard"]
