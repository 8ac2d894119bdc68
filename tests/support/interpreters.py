"""Other Python versions that may be on this machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def interpreter(version: str) -> str | None:
    """Return a working interpreter of a version, as in 3.9, from PATH, where some are broken shims, or from pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for path in [f"python{version}", *map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python")))]:
        try:
            done = subprocess.run([path, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True)
        except OSError:
            continue
        if done.returncode == 0:
            return done.stdout.strip()
    return None
