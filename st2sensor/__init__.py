"""st2sensor runs StackStorm sensors: see README.md. Importing this package imports nothing else."""

__version__ = "0.2.0"
