"""The checks of a registration, several at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from st2sensor.models import Pack
from st2sensor.packs.metadata import SensorDeclaration
from st2sensor.packs.registration import sensor_checks as module
from st2sensor.packs.registration.sensor_checks import Checked, SensorChecks

MANY = 50


class Context:
    """Interrupts the registration once the first check has ended."""

    def has_instances(self, sensor: object) -> bool:  # noqa: ARG002
        return True

    def progress(self, step: str, done: int, total: int) -> None:
        assert (step, done, total) == ("sensors", 1, MANY)
        raise KeyboardInterrupt


class Declared:
    sensor = None


def test_an_interruption_does_not_wait_for_checks_that_have_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    interrupted = threading.Event()

    def check(self: SensorChecks, pack: Pack, declaration: SensorDeclaration, values: object) -> Checked:  # noqa: ARG001
        begun.append(1)
        if len(begun) > 1:
            interrupted.wait()
        return Checked(declaration=declaration, digest="", error=None)

    class Executor(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            # The running checks end while the interruption waits for them.
            interrupted.set()
            super().shutdown(wait)

    monkeypatch.setattr(module, "ThreadPoolExecutor", Executor)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr(SensorChecks, "_check", check)
    checks = SensorChecks(cast(Any, Context())).run([(cast(Any, Path()), cast(Any, Declared()))] * MANY)
    assert next(checks).digest == ""
    with pytest.raises(KeyboardInterrupt):
        next(checks)
    assert len(begun) <= 3
