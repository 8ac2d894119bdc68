"""Supervises the sensors of this node: their states, their processes, and their output."""
