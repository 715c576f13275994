"""Which images belong together: by name, and by field."""
