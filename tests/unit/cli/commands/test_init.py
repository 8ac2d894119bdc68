"""`st2sensor init`, as far as it needs no container."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from st2sensor.cli.declarations.authoring import init
from st2sensor.cli.invocation import invoke


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_says_what_it_has_made_and_what_to_do_next(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(init, ["more packs/fresh", "--polling"], "init") == 0
    shown = capsys.readouterr().out
    made = set(content(here / "more packs" / "fresh"))
    assert made == {
        *("README.md", "config.schema.yaml", "fresh.yaml.example", "pack.yaml", "pytest.ini", "requirements.txt"),
        *("sensors/fresh_sensor.py", "sensors/fresh_sensor.yaml", "rules/on_file_changed.yaml"),
        *("tests/conftest.py", "tests/test_fresh_sensor.py"),
    }
    for name in made:
        assert Path(name).name in shown
    tree, _, next_ = shown.partition("\nNow try:\n")
    assert tree.startswith("more packs/fresh\n├── rules/\n│   └── on_file_changed.yaml\n")
    assert next_.splitlines() == [
        "  st2sensor dev 'more packs/fresh'",
        "  pip install pytest && pytest 'more packs/fresh/tests'",
        "  st2sensor validate 'more packs/fresh'",
    ]


@pytest.mark.parametrize("name", ["a", "a_pack_whose_name_is_longer"])
def test_the_columns_of_its_readme_are_aligned_for_any_name(here: Path, name: str) -> None:
    assert invoke(init, [name], "init") == 0
    rows = [line for line in (here / name / "README.md").read_text().splitlines() if line.startswith("    ")]
    assert len(rows) == 6
    gaps = [re.search(r"\S {2,}\S", row) for row in rows]
    assert len({gap and gap.end() for gap in gaps}) == 1
    assert f"    {name}.yaml.example  " in "\n".join(rows)


def test_with_json_it_says_the_same_to_programs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(init, ["fresh", "--json"], "init") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["pack"], told["folder"], told["sensor"]) == ("fresh", "fresh", "fresh.FreshSensor")
    assert set(told["files"]) == set(content(here / "fresh"))
    assert invoke(init, ["fresh", "--json"], "init") == 73
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "AlreadyThere"


def test_the_folder_in_which_one_is_can_be_the_pack(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "mine").mkdir()
    monkeypatch.chdir(here / "mine")
    assert invoke(init, ["."], "init") == 0
    assert "class MineSensor(Sensor):" in (here / "mine" / "sensors" / "mine_sensor.py").read_text()


@pytest.mark.parametrize(
    ("class_name", "module"),
    [("HTTPWatch2", "http_watch2_sensor"), ("Json", "json_sensor"), ("DiskSensor", "disk_sensor")],
)
def test_a_module_is_named_after_its_class(here: Path, class_name: str, module: str) -> None:
    assert invoke(init, ["p", "--sensor", class_name], "init") == 0
    assert {path.name for path in (here / "p" / "sensors").iterdir()} == {f"{module}.py", f"{module}.yaml"}
    assert f"from {module} import {class_name}\n" in (here / "p" / "tests" / f"test_{module}.py").read_text()


def test_nothing_is_overwritten(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "empty").mkdir()
    assert invoke(init, ["empty"], "init") == 0
    before = content(here)
    (here / "file").touch()
    (here / "link").symlink_to("nowhere")
    for name in ("empty", "file", "link"):
        assert invoke(init, [name, "--polling"], "init") == 73
        error = capsys.readouterr().err
        assert f"{name} already exists and is not overwritten; choose another name" in error
    assert content(here) == {**before, "file": b""}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["My-Pack"], "'My-Pack' cannot be the name of a pack; use lower-case letters, digits and _"),
        (["a.b"], "'a.b' cannot be the name of a pack"),
        (["/"], "'' cannot be the name of a pack"),
        (["x", "--sensor", "my sensor"], "'my sensor' cannot be the name of the sensor's class; choose one like"),
        (["x", "--sensor", "True"], "'True' cannot be the name"),
        (["x", "--sensor", "PollingSensor"], "'PollingSensor' cannot be the name"),
        (["3"], "'3Sensor' cannot be the name"),
    ],
)
def test_what_cannot_be_a_name_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    assert invoke(init, arguments, "init") == 2
    assert reason in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "file").touch()
    assert invoke(init, ["file/pack"], "init") == 74
    assert capsys.readouterr().err == "init: error: file/pack: Not a directory\n"
