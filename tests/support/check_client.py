"""Has sensors' code checked by forks, where the product executes an interpreter that imports the wrapper first.

An interpreter that is not the container's own, or that reads other variables when it starts, is executed as usual.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from st2sensor.packs.code import check
from st2sensor.packs.code.location import Code
from st2sensor.system.environment import handed_on
from tests.support.forks import Forks

SERVER = Path(__file__).with_name("forked_checks.py")

AT_START = ("PYTHON", "LC_", "LD_", "LANG")
"""How the names of variables begin that an interpreter reads when it starts."""


class CheckClient:
    """The client of the process that forks checks, with the function of `packs.code.check` that it replaces."""

    def __init__(self) -> None:
        variables = handed_on(os.environ)
        self._forks = Forks([sys.executable, str(SERVER)], variables)
        self._read_at_start = _read_at_start(variables)
        self._execute = check._run

    def run(self, code: Code, deadline: float, keep_compiled: bool) -> bytes:
        """Return what a check prints. Raises OSError and subprocess.TimeoutExpired."""
        variables = handed_on(os.environ)
        if code.interpreter != Path(sys.executable) or _read_at_start(variables) != self._read_at_start:
            return self._execute(code, deadline, keep_compiled)
        arguments = [] if keep_compiled else ["-B"]
        reading, writing = os.pipe()
        with tempfile.TemporaryFile("w+") as description, open(reading, "rb", buffering=0) as output:
            json.dump({**code.for_wrapper(), "poll_interval": code.poll_interval}, description)
            description.seek(0)
            try:
                with open(os.devnull, "w") as nothing:
                    process = self._forks.start(
                        arguments,
                        cwd=Path.cwd(),
                        env=variables,
                        stdin=description.fileno(),
                        stdout=writing,
                        stderr=nothing.fileno(),
                        start_new_session=True,
                    )
            finally:
                os.close(writing)
            try:
                return check.last_output(output.fileno(), deadline)
            finally:
                # The processes that the imported code has started end, too.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def close(self) -> None:
        self._forks.close()


def _read_at_start(variables: Mapping[str, str]) -> dict[str, str]:
    # A fork changes the filters of warnings itself.
    return {name: value for name, value in variables.items() if name.startswith(AT_START) and name != "PYTHONWARNINGS"}
