"""TensorBoard logs of training: curves, generated modalities, the latent space and the graph."""
