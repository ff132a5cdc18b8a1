"""Pictures of what models do; the only place that imports matplotlib."""
