"""Limits of one worker process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits in bytes.

    :param memory: the address space, including the interpreter itself.
    :param request: the arguments of a task, as JSON.
    :param answer: the result of a task, as JSON.
    """

    memory: int = 512_000_000
    request: int = 64_000_000
    answer: int = 4_000_000


USUAL = Limits()
