"""`python -m st2sensor ...` is `st2sensor ...`, for installations whose scripts are not on the PATH."""

from __future__ import annotations

import sys

from st2sensor.cli.st2sensor import main

if __name__ == "__main__":
    sys.exit(main())
