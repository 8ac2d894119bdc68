"""`python -m tests.commands` runs commands of the product, each a fork that has imported all of it already.

An order is a line of JSON on its input: `argv`, `folder`, `environment`, `output`. The answer is the exit code, a line.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from st2sensor.cli.__main__ import PROGRAMS
from st2sensor.lazy import resolve
from st2sensor.storage import LEASES, STORAGES
from st2sensor.transport import BACKENDS
from tests.command_lines import bodies
from tests.workspace import ROOT, environment

PATIENCE = 60
"""Seconds until a command that does not end is killed."""


class Runner:
    """The other end: hands orders over, one at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.commands"],
            cwd=ROOT,
            env=environment("ignore"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, argv: Sequence[str], folder: Path, variables: Mapping[str, str], output: Path) -> int:
        """Returns the exit code; what is printed is in the file."""
        order = {"argv": list(argv), "folder": str(folder), "environment": dict(variables), "output": str(output)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def _become(order: Mapping[str, Any]) -> int:
    signal.alarm(PATIENCE)
    os.chdir(order["folder"])
    os.environ.update(order["environment"])
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, output), (2, output)):
        os.dup2(file, stream)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.stdin = open(os.devnull)  # noqa: SIM115 (for as long as the process lives)
    name, *arguments = order["argv"]
    return int(resolve(PROGRAMS[name])(arguments))


def main() -> None:
    for target in (*(body.target for _, body in bodies()), *STORAGES.values(), *LEASES.values(), *BACKENDS.values()):
        resolve(target)
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            code = 70
            try:
                code = _become(json.loads(line))
            except BaseException:  # noqa: BLE001 (it must not go on as its parent)
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
