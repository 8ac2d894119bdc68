"""Decides when a sensor is silent, and proposes how long sensors may be quiet."""
