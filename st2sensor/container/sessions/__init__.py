"""The wrapper protocol's server side."""
