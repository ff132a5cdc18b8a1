"""What every package uses and no user sees: files, checks, provenance."""
