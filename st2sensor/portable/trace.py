"""What links trigger instances, as StackStorm's code has it. Standard library only, CPython 3.9."""

from __future__ import annotations


class TraceContext:
    """:param id_: of a trace; :param trace_tag: of a new one."""

    def __init__(self, id_: str | None = None, trace_tag: str | None = None) -> None:
        self.id_ = id_
        self.trace_tag = trace_tag
