"""The CelebA study: what it trains, measures, draws and says."""
