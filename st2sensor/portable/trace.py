"""What links trigger instances, as StackStorm's code has it. Standard library only, CPython 3.9."""

from __future__ import annotations

from typing import Optional


class TraceContext:
    """:param id_: of a trace; :param trace_tag: of a new one."""

    def __init__(self, id_: Optional[str] = None, trace_tag: Optional[str] = None) -> None:
        self.id_ = id_
        self.trace_tag = trace_tag
