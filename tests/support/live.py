"""Commands that run until they are stopped, and their output."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.support.forks import Process
from tests.support.workspace import forks


@contextmanager
def live(words: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Iterator[tuple[Process, IO[str]]]:
    """Run one of the product's commands as a fork, with its output, which ends with it. It is killed at the end."""
    reading, writing = os.pipe()
    with open(reading) as output:
        try:
            process = forks().start(words, cwd=cwd, env=env, stdout=writing, stderr=2)
        finally:
            os.close(writing)
        try:
            yield process, output
        finally:
            process.kill()
