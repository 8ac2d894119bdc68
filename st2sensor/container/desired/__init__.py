"""The sensors that should run on this node."""
