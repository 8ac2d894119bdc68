"""StackStorm's name for the trace context that links trigger instances."""

from st2sensor.portable.trace import TraceContext

__all__ = ["TraceContext"]
