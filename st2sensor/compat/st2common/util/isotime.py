"""StackStorm's name for reading and writing times as text."""

from st2sensor.portable.isotime import format, parse, validate

__all__ = ["format", "parse", "validate"]
