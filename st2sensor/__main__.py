"""`python -m st2sensor ...` is `st2sensor ...`, for installations whose scripts are not on the PATH."""

from __future__ import annotations

import sys

from st2sensor.cli import interrupt
from st2sensor.system.lazy import resolve

if __name__ == "__main__":
    interrupt.end()
    sys.exit(resolve("st2sensor.cli.st2sensor:main")())
