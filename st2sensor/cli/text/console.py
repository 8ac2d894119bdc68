"""The console that tables are printed on."""

from __future__ import annotations

import os
import sys

from rich.console import Console

UNLIMITED = 500
"""Columns, where no terminal sets a limit."""


def console() -> Console:
    """For tables of what others have written: it is shown as it is."""
    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else UNLIMITED
    return Console(highlight=False, markup=False, emoji=False, width=wide)
