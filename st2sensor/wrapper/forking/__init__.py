"""Forks wrappers from one process that has imported what they all need."""
