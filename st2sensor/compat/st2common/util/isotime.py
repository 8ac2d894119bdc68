"""StackStorm's name for times as text."""

from st2sensor.isotime import format, parse, validate

__all__ = ["format", "parse", "validate"]
