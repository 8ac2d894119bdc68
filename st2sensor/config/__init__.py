"""Reads st2.conf into Settings. The package is the only importer of oslo.config."""

from st2sensor.config.loading import load, load_if_any

__all__ = ["load", "load_if_any"]
