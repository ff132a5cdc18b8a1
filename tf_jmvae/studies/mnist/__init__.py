"""The MNIST study: what it trains, measures, draws and says."""
