"""What one worker process may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """In bytes.

    :param memory: of address space, the interpreter's own included.
    :param request: of JSON that a task may bring; :param answer: of JSON that it may give.
    """

    memory: int = 512_000_000
    request: int = 64_000_000
    answer: int = 4_000_000


USUAL = Limits()
