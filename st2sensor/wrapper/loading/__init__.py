"""Loads a sensor's class from its file."""
