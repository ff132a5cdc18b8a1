"""Training as TensorBoard shows it: curves, generated modalities, the latent space and the graph."""
