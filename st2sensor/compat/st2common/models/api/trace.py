"""StackStorm's name for what links trigger instances."""

from st2sensor.portable.trace import TraceContext

__all__ = ["TraceContext"]
