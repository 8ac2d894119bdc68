"""A sensor's code: where it is, which interpreter runs it, and whether it loads."""
