"""Which code of a pack's files is cached."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from st2sensor.wrapper.loading.bytecode import RACY, PackLoader

LOADS = """
import sys
from st2sensor.wrapper.loading import bytecode
pack, other = sys.argv[1:]
sys.path[:0] = [pack, other]
import early
bytecode.load_from([pack])
import inside, inside.deep, space.part, outside
for module in (inside, inside.deep, space.part, outside):
    print(module.__name__, type(module.__loader__).__name__)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("pack/early", "pack/inside/__init__", "pack/inside/deep", "pack/space/part", "packother/outside"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).with_suffix(".py").write_text("")
    return tmp_path


def test_modules_of_the_pack_are_loaded_with_care_and_no_others(tree: Path) -> None:
    command = [sys.executable, "-c", LOADS, str(tree / "pack"), str(tree / "packother")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "inside PackLoader",
        "inside.deep PackLoader",
        "space.part PackLoader",
        "outside SourceFileLoader",
    ]


def test_code_is_cached_unless_the_file_was_saved_just_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "library.py"
    file.write_text("")
    saved = time.time()

    def cached(age: float) -> bool:
        os.utime(file, (saved, saved))
        monkeypatch.setattr(time, "time", lambda: saved + age)
        PackLoader("library", str(file)).get_code("library")
        return bool(list(tmp_path.rglob("library.*.pyc")))

    assert [cached(age) for age in (-RACY, 0.0, RACY - 0.01, RACY + 0.01)] == [False, False, False, True]


def test_a_file_that_vanishes_while_it_is_loaded_is_not_cached(tmp_path: Path) -> None:
    PackLoader("gone", str(tmp_path / "gone.py")).set_data(str(tmp_path / "gone.pyc"), b"")
    assert not list(tmp_path.iterdir())
