"""A model of how containers share sensors, which spin explores."""
