"""StackStorm's name for times as text."""

from st2sensor.portable.isotime import format, parse, validate

__all__ = ["format", "parse", "validate"]
