"""Other Pythons that may be on this machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def interpreter(version: str) -> str | None:
    """An interpreter of a version, as in 3.9, that runs: on PATH, where some are shims that do not, or of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for path in [f"python{version}", *map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python")))]:
        try:
            done = subprocess.run([path, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True)
        except OSError:
            continue
        if done.returncode == 0:
            return done.stdout.strip()
    return None
