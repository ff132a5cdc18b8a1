"""Internal utilities of all packages: files, checks, missing data, provenance and private APIs."""
