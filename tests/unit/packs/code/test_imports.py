from __future__ import annotations

import os
from pathlib import Path

import pytest

from st2sensor.packs.code.imports import imports, modules


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "import eventlet",
        "import os, eventlet as green",
        "from eventlet import spawn",
        "import eventlet.green.socket",
        "def later():\n    try:\n        import eventlet\n    except ImportError:\n        pass",
        "import importlib\nimportlib.import_module('eventlet')",
        "__import__('eventlet')",
    ],
)
def test_an_import_is_found_wherever_it_stands(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"sensor": text})
    assert any(name.split(".")[0] == "eventlet" for name in imports(tmp_path / "sensor.py", [tmp_path]))


@pytest.mark.parametrize(
    "text", ["eventlet = 1", "# import eventlet", "'import eventlet'", "from . import eventlet", "("]
)
def test_what_is_no_import_is_not_taken_for_one(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"sensor": text})
    assert "eventlet" not in imports(tmp_path / "sensor.py", [tmp_path])


def test_modules_of_the_pack_are_followed(tmp_path: Path) -> None:
    write(
        tmp_path / "sensors",
        {
            "sensor": "from lib.client import Client",
            "lib/__init__": "from .base import Base",
            "lib/base": "import one",
            "lib/client": "from . import deep, missing\nfrom .. import beyond\nimport two",
            "lib/deep": "import three\nimport lib.client",
        },
    )
    found = imports(tmp_path / "sensors" / "sensor.py", [tmp_path / "sensors"])
    assert {"one", "two", "three"} <= found


def test_a_change_is_seen(tmp_path: Path) -> None:
    write(tmp_path, {"sensor": "import os"})
    assert imports(tmp_path / "sensor.py", []) == {"os"}
    write(tmp_path, {"sensor": "import eventlet"})
    assert imports(tmp_path / "sensor.py", []) == {"eventlet"}


def test_files_that_cannot_be_read_import_nothing(tmp_path: Path) -> None:
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe\x00")
    assert imports(tmp_path / "binary.py", []) == set()
    assert imports(tmp_path / "missing.py", []) == set()
    os.mkfifo(tmp_path / "pipe.py")
    assert imports(tmp_path / "pipe.py", []) == set()
    (tmp_path / "huge.py").write_text("import os")
    os.truncate(tmp_path / "huge.py", 10**12)
    assert imports(tmp_path / "huge.py", []) == set()
    (tmp_path / "deep.py").write_text("x = " + "-" * 1_000_000 + "1")
    assert imports(tmp_path / "deep.py", []) == set()


def test_a_name_that_no_file_can_have_is_only_a_name(tmp_path: Path) -> None:
    long = "x" * 300
    (tmp_path / "sensor.py").write_text(f"import {long}\nimport_module('/')\nimport_module('a\\0b')\nimport_module('')")
    assert imports(tmp_path / "sensor.py", [tmp_path]) == {long, "/", "a\0b", ""}


def test_the_modules_of_a_sensor_are_its_file_and_what_it_imports_from_the_pack(tmp_path: Path) -> None:
    write(tmp_path, {"sensor": "import os, near", "near": "from deep import far", "deep/far": "", "other": ""})
    found = modules(tmp_path / "sensor.py", [tmp_path])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["sensor.py", "near.py", "deep/far.py"]
