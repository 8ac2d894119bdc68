"""Which Python interpreter runs a pack's code."""

from __future__ import annotations

import sys
from pathlib import Path


def interpreter(virtualenvs: Path, pack: str) -> Path:
    """The pack's virtualenv's interpreter, or this process's own for a pack without a virtualenv."""
    own = virtualenvs / pack / "bin" / "python"
    return own if own.exists() else Path(sys.executable)
