"""Training runs: presets, the schema of configurations, run folders and evaluation."""
