"""Standard streams that were redirected to a file, which is renamed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from st2sensor.logs.stream_file import StreamFile, descriptor_of
from tests.plugins.patience import SOON

SCRIPT = """
import os, sys
from st2sensor.logs.stream_file import StreamFile

print("before", file=sys.stderr)
file = StreamFile.of(2)
os.rename(file.path, "old")
print("renamed", file=sys.stderr)
os.umask(0)
file.reopen()
print("after", file=sys.stderr)
print("out", flush=True)
os.mkdir("gone")
os.rename("gone", "gone2")
file.path = "gone/log"
try:
    file.reopen()
except OSError as error:
    print(type(error).__name__, file=sys.stderr)
"""


def test_a_renamed_file_is_opened_again_by_its_first_name(tmp_path: Path) -> None:
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    try:
        command = [sys.executable, "-c", SCRIPT]
        subprocess.run(command, cwd=tmp_path, stdout=log, stderr=log, check=True, timeout=SOON)
    finally:
        os.close(log)
    assert (tmp_path / "old").read_text() == "before\nrenamed\n"
    assert (tmp_path / "log").read_text() == "after\nout\nFileNotFoundError\n"
    assert (tmp_path / "log").stat().st_mode == (tmp_path / "old").stat().st_mode


@pytest.mark.parametrize("kind", ["pipe", "deleted", "closed"])
def test_only_a_file_with_a_name_can_be_opened_again(kind: str, tmp_path: Path) -> None:
    if kind == "pipe":
        reader, descriptor = os.pipe()
        os.close(reader)
    else:
        descriptor = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
        (tmp_path / "log").unlink()
    if kind == "closed":
        os.close(descriptor)
    assert StreamFile.of(descriptor) is None
    if kind != "closed":
        os.close(descriptor)


def test_a_stream_without_a_descriptor_has_none() -> None:
    assert descriptor_of(object()) is None
    assert descriptor_of(sys.__stderr__) == 2
