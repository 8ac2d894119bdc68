"""A container as the child of a command."""

from __future__ import annotations

import signal
import subprocess

import pytest

from st2sensor.cli.daemon.child_process import stopping


@pytest.mark.parametrize("is_asked", [True, False])
def test_a_container_that_is_stopped_before_it_listens_has_not_failed(is_asked: bool) -> None:
    with subprocess.Popen(["sleep", "100"]) as process:
        with stopping(process) as code:
            if is_asked:
                handler = signal.getsignal(signal.SIGTERM)
                assert callable(handler)
                handler(signal.SIGTERM, None)
            else:
                process.terminate()
            process.wait()
        assert code() == (0 if is_asked else -signal.SIGTERM)
