"""A pack's configuration: its file, its schema, and its expressions."""
