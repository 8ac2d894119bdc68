"""Calls into an event loop from other threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress


def call_in_loop(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: object) -> None:
    """Have a loop call a function in the loop's own thread, soon. From any thread.

    Nothing happens when the loop is closed: nobody is left to notify.
    """
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)
