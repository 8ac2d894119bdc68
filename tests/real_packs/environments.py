"""Packs' virtualenvs, made by the product's own command, without requirements that are no longer available."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.real_packs.packs import RealPack
from tests.support.workspace import Workspace

PIP_TIMEOUT = 600
"""Seconds for one call of pip."""

LEFT_OUT = "left-out.txt"
"""File in a virtualenv that lists the missing requirements, one per line."""

TEST_TOOLS = ("mock", "pyyaml")
"""Packages that packs' tests import besides their requirements, because StackStorm's test runner provides them."""

_SUN, _QUEUES = {"astral": "astral<2"}, {"boto3>=1.3.1,<1.4": "boto3>=1.28"}

INSTEAD = {
    "3p--EncoreTechnologies--stackstorm-errors": {"crontab": "crontab\nst2client"},
    "astral": _SUN,
    "aws": _QUEUES,
    "contrib--astral": _SUN,
    "contrib--aws": _QUEUES,
    "contrib--mqtt": {"paho-mqtt>=1.1,<2.0": "paho-mqtt<1.3"},
    "contrib--slack": {
        "-e git+https://github.com/Kami/python-slackclient.git@stackstorm_patched#egg=slackclient": "slackclient<2"
    },
    "openstack": {"python-zaqarclient": "python-zaqarclient<2"},
}
"""By pack: lines of its requirements with replacements: the version when a sensor was written, one that still runs, or
a package that StackStorm's own environment provides."""

EGG = re.compile(r"^-e git\+.*#egg=([\w.-]+)$")
"""A requirement from a repository, and its name in the index."""


def set_up(pack: RealPack, workspace: Workspace, keep: Path | None) -> list[str]:
    """Make the pack's virtualenv, or reuse a kept one; return the requirements that it lacks.

    :param keep: folder of virtualenvs that outlive a run, by the pack's folder's name.
    """
    home = workspace.folder / "virtualenvs" / pack.ref
    kept = None if keep is None else keep / pack.name
    home.parent.mkdir(exist_ok=True)
    folder = workspace.packs / pack.ref
    _replace(folder / "requirements.txt", INSTEAD.get(pack.name, {}))
    if kept is not None and kept.exists():
        home.symlink_to(kept)
        return _left_out(home)
    done = workspace.reload("--register-setup-virtualenvs", "--register-triggers")
    if done.returncode != 0 and not (home / "bin" / "python").exists() and _lines(folder, "requirements.txt"):
        _install_singly(home, _lines(folder, "requirements.txt"))
    if pack.tests:
        _install_singly(home, [*TEST_TOOLS, *_lines(folder, "requirements-tests.txt")])
    if kept is not None and home.exists():
        shutil.move(home, kept)
        home.symlink_to(kept)
    return _left_out(home)


def interpreter(pack: RealPack, workspace: Workspace) -> Path:
    """Return the interpreter that runs the pack's code."""
    own = workspace.folder / "virtualenvs" / pack.ref / "bin" / "python"
    return own if own.exists() else Path(sys.executable)


def _install_singly(home: Path, requirements: list[str]) -> None:
    """Install line by line, and write down the unavailable requirements."""
    if not home.exists():
        _run([sys.executable, "-m", "venv", str(home)])
    # Isolated from this process's own settings for packages.
    pip = [str(home / "bin" / "python"), "-I", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    failed = [requirement for requirement in requirements if not _run([*pip, *_options(requirement)])]
    home.mkdir(exist_ok=True)
    (home / LEFT_OUT).write_text("\n".join([*_left_out(home), *failed]))


def _options(requirement: str) -> list[str]:
    """Return arguments for pip: the index has the packages whose repositories cannot be reached."""
    egg = EGG.match(requirement)
    return [egg.group(1) if egg else requirement]


def _run(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=PIP_TIMEOUT, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        # There is no interpreter, because the virtualenv could not be made.
        return False


def _left_out(home: Path) -> list[str]:
    file = home / LEFT_OUT
    return file.read_text().splitlines() if file.exists() else []


def _replace(file: Path, lines: Mapping[str, str]) -> None:
    """Replace lines of a file by other lines."""
    if lines:
        file.write_text("\n".join(lines.get(line.strip(), line) for line in file.read_text().splitlines()))


def _lines(folder: Path, name: str) -> list[str]:
    file = folder / name
    lines = file.read_text().splitlines() if file.exists() else []
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
