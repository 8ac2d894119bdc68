"""The trace context that links trigger instances, as in StackStorm. Standard library only, CPython 3.9."""

from __future__ import annotations

from typing import Optional


class TraceContext:
    """The trace that a trigger instance belongs to.

    :param id_: the id of an existing trace.
    :param trace_tag: the tag of a new trace.
    """

    def __init__(self, id_: Optional[str] = None, trace_tag: Optional[str] = None) -> None:
        self.id_ = id_
        self.trace_tag = trace_tag
