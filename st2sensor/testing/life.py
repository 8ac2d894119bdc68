"""Leads a sensor through its life in a test: setup(), poll() or run(), cleanup()."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import Any, Iterator, List


def run_polls(sensor: Any, times: int = 1) -> None:
    """Call setup(), poll() so many times without a wait between them, and cleanup(), also when something raises."""
    try:
        sensor.setup()
        for _ in range(times):
            sensor.poll()
    finally:
        sensor.cleanup()


@contextmanager
def running(sensor: Any, timeout: float = 30) -> Iterator[Any]:
    """Call setup(), then run() in a thread; at the end cleanup(), after which run() has to return.

    :param timeout: seconds that it has for that. Raises AssertionError when it takes longer.

    Raises what setup() and run() raise. In a container run() need not return: there it is torn out of what it does.
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
