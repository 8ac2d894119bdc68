"""What commands know of the sensors that run."""
