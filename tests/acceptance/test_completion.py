"""Completion, in the real shells: somebody types the beginning of a trigger or of a key, and presses Tab."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.plugins.patience import SOON
from tests.support.workspace import Workspace, environment

TRIGGER = "mine.something_unusual"

KEY = "mine.S:progress"
"""A sensor's key: bash takes its colon for the end of a word, unless the script says otherwise."""

LINES = {
    f"st2sensor dispatch {TRIGGER[:8]}": TRIGGER,
    f"st2sensor key get {KEY[:3]}": KEY,
    f"st2sensor key get {KEY[:8]}": KEY,
}
"""What is typed before Tab, and the word that comes of it."""

SHELLS = {
    "bash": (["bash", "--norc", "-i"], "st2sensor completion bash > script && . ./script"),
    "zsh": (
        ["zsh", "-f", "-i"],
        "mkdir -p functions && st2sensor completion zsh > functions/_st2sensor && fpath=($PWD/functions $fpath) && "
        "autoload -U compinit && compinit -u -D",
    ),
}


class Shell:
    """An interactive shell in a terminal."""

    def __init__(self, command: list[str], folder: Path, variables: dict[str, str]) -> None:
        self._terminal, theirs = pty.openpty()
        self._process = subprocess.Popen(
            command, cwd=folder, env=variables, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)

    def type(self, text: str, awaited: str) -> None:
        """Type text, and wait until the terminal shows what is awaited."""
        os.write(self._terminal, text.encode())
        shown, until = "", time.monotonic() + SOON
        while awaited not in shown:
            assert time.monotonic() < until, f"{awaited} is never shown after {text!r}, but: {shown!r}"
            if select.select([self._terminal], [], [], 1)[0]:
                shown += re.sub(
                    r"\x1b\[[\d;?]*[a-zA-Z]|[\x07\r]", "", os.read(self._terminal, 4096).decode("utf-8", "replace")
                )

    def close(self) -> None:
        self._process.kill()
        self._process.wait(SOON)
        os.close(self._terminal)


@contextmanager
def interactive(command: list[str], folder: Path, variables: dict[str, str]) -> Iterator[Shell]:
    shell = Shell(command, folder, variables)
    try:
        yield shell
    finally:
        with suppress(OSError):
            shell.close()


def variables_of(workspace: Workspace) -> dict[str, str]:
    """Register what is completed; return the variables of a shell with the command on its PATH."""
    pack = workspace.add_pack("mine")
    (pack / "triggers").mkdir(exist_ok=True)
    (pack / "triggers" / "t.yaml").write_text(f"name: {TRIGGER.partition('.')[2]}\n")
    workspace.reload_well()
    config = str(workspace.config)
    assert workspace.run("st2sensor", "--config-file", config, "key", "set", KEY, "7").returncode == 0
    binaries = workspace.folder / "bin"
    binaries.mkdir()
    (binaries / "st2sensor").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m st2sensor "$@"\n')
    (binaries / "st2sensor").chmod(0o755)
    home = workspace.folder / "home"
    home.mkdir()
    return {
        **environment(),
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "HOME": str(home),
        "TERM": "dumb",
        "PS1": "> ",
        "ST2_CONF": config,
    }


@pytest.mark.soak
@pytest.mark.parametrize("name", SHELLS)
def test_tab_completes_a_trigger_and_a_key(embedded: Workspace, name: str) -> None:
    command, setup = SHELLS[name]
    if shutil.which(name) is None:
        missing(f"no {name}: as root, make soak installs Debian's {name}")
    variables = variables_of(embedded)
    for typed, word in LINES.items():
        # A shell of its own: a line that was changed is drawn in parts.
        with interactive(command, Path(variables["HOME"]), variables) as shell:
            # Not in one word, so that the echo is not taken for the prompt, after which Tab has its meaning.
            shell.type(f"{setup} && PS1='rea''dy> '\n", "ready> ")
            shell.type(f"{typed}\t", word)


@pytest.mark.soak
def test_fish_completes_a_trigger_and_a_key(embedded: Workspace) -> None:
    if shutil.which("fish") is None:
        missing("no fish: as root, make soak installs Debian's fish")
    variables = variables_of(embedded)
    folder = Path(variables["HOME"]) / ".config" / "fish" / "completions"
    folder.mkdir(parents=True)
    script = embedded.run("st2sensor", "completion", "fish").stdout
    (folder / "st2sensor.fish").write_text(script)
    for typed, word in LINES.items():
        asked = ["fish", "-c", f"complete --do-complete '{typed}'"]
        done = subprocess.run(asked, env=variables, capture_output=True, text=True, timeout=SOON, check=True)
        assert done.stdout.splitlines() == [word], done.stderr
