"""Keras callbacks: KL warm-up, checkpoints, early stopping, stop at divergence, GAN monitoring, TensorBoard."""

from tf_jmvae.callbacks.best_weights import BestWeights
from tf_jmvae.callbacks.checkpoint import Checkpoint
from tf_jmvae.callbacks.tensorboard.callback import TensorBoard
from tf_jmvae.callbacks.training import DiscriminatorCollapse, KLWarmUp, StopAtDivergence

__all__ = ["BestWeights", "Checkpoint", "DiscriminatorCollapse", "KLWarmUp", "StopAtDivergence", "TensorBoard"]
