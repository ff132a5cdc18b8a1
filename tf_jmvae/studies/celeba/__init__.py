"""The CelebA study: what it trains, measures and draws."""
