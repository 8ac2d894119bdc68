"""The console that commands print tables on."""

from __future__ import annotations

import os
import sys

from rich.console import Console

UNLIMITED = 500
"""Width of a table if no terminal limits it."""


def console() -> Console:
    """Return a console that prints text as it is: untrusted text could look like markup."""
    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else UNLIMITED
    return Console(highlight=False, markup=False, emoji=False, width=wide)
