"""Training as TensorBoard shows it: curves, generated modalities, the latent space and the graph."""

from tf_jmvae.callbacks.tensorboard.callback import TensorBoard

__all__ = ["TensorBoard"]
