"""The MNIST study: what it trains, measures and draws."""
