"""Runs a sensor through its whole life in a test: setup(), poll() or run(), cleanup()."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import Any, Iterator, List


def run_polls(sensor: Any, times: int = 1) -> None:
    """Call setup(), poll() `times` times without waiting, and cleanup(), even if one of them raises."""
    try:
        sensor.setup()
        for _ in range(times):
            sensor.poll()
    finally:
        sensor.cleanup()


@contextmanager
def running(sensor: Any, timeout: float = 30) -> Iterator[Any]:
    """Call setup(), then run() in a thread, and cleanup() at the end. Then run() must return.

    :param timeout: seconds within which run() must return; otherwise AssertionError is raised.

    Raises the errors of setup() and run(). In a container, run() need not return, because an exception interrupts it.
    """
    raised: List[BaseException] = []

    def run() -> None:
        try:
            sensor.run()
        except BaseException as exception:  # noqa: BLE001 (raised again, in the test's thread)
            raised.append(exception)

    thread = threading.Thread(target=run, daemon=True)
    try:
        sensor.setup()
        thread.start()
        yield sensor
    finally:
        sensor.cleanup()
    thread.join(timeout)
    if raised:
        raise raised[0]
    if thread.is_alive():
        raise AssertionError(f"run() has not returned {timeout} seconds after cleanup()")
