"""Registers the instances of sensors."""
