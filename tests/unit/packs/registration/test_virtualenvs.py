from __future__ import annotations

import shutil
import sys
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from st2sensor.errors import ContentError
from st2sensor.models import Pack
from st2sensor.packs.code import virtualenv
from st2sensor.packs.registration import virtualenvs
from st2sensor.packs.registration.outcome import Result
from tests.plugins.patience import SOON


def pack(folder: Path, name: str, requirements: str | None = "six\n") -> Pack:
    path = folder / "packs" / name
    path.mkdir(parents=True)
    (path / "pack.yaml").write_text(f"name: {name}\n")
    if requirements is not None:
        (path / "requirements.txt").write_text(requirements)
    return Pack(ref=name, path=path)


def test_virtualenvs_are_made_at_the_same_time_and_each_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = Barrier(2)

    def set_up(made: Pack, *_: Any, **__: Any) -> bool:
        if made.ref == "d":
            return False
        # If they were made one after the other, the first would wait here in vain.
        together.wait(SOON)
        if made.ref == "b":
            raise ContentError("no such package", file="requirements.txt")
        return True

    monkeypatch.setattr(virtualenv, "set_up", set_up)
    packs = [pack(tmp_path, "a"), pack(tmp_path, "b"), pack(tmp_path, "d", None)]
    lines: list[str] = []
    outcomes = virtualenvs.set_up(packs, tmp_path / "virtualenvs", recreate=False, progress=lines.append)
    assert [(outcome.ref, outcome.result) for outcome in outcomes] == [("a", Result.CREATED), ("b", Result.FAILED)]
    assert [line.partition(",")[0] for line in lines] == ["virtualenvs: 1 of 2", "virtualenvs: 2 of 2"]
    assert sorted(line.partition(", ")[2] for line in lines) == ["a created", "b failed"]


def test_why_a_virtualenv_could_not_be_made_is_told_where_it_is_missed(tmp_path: Path) -> None:
    home = tmp_path / "virtualenvs"
    wanted = pack(tmp_path, "p")
    with pytest.raises(ContentError, match=r"has requirements and no virtualenv .* make it with: st2ctl reload"):
        virtualenv.check(home, "p", wanted.path)
    (wanted.path / "pack.yaml").write_text("name: p\npython_versions: ['3.2']\n")
    with pytest.raises(ContentError) as failure:
        virtualenv.set_up(wanted, home, recreate=False, progress=lambda _: None)
    with pytest.raises(ContentError) as missed:
        virtualenv.check(home, "p", wanted.path)
    assert str(missed.value) == str(failure.value)
    assert "pack.yaml:2: python_versions: the pack runs on Python 3.2" in str(missed.value)

    (wanted.path / "requirements.txt").write_text("")
    (wanted.path / "pack.yaml").write_text("name: p\n")
    assert not virtualenv.set_up(wanted, home, recreate=False, progress=lambda _: None)
    assert not list(home.iterdir())


def test_no_sensor_starts_while_its_requirements_are_being_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, home = pack(tmp_path, "p"), tmp_path / "virtualenvs"
    refusals: list[str] = []

    def run(*_: Any) -> None:
        (home / "p" / "bin").mkdir(parents=True, exist_ok=True)
        (home / "p" / "bin" / "python").touch()
        with pytest.raises(ContentError) as refused:
            virtualenv.check(home, "p", wanted.path)
        refusals.append(refused.value.message)
        if len(refusals) > 2:
            raise ContentError("no index", file="requirements.txt")

    monkeypatch.setattr(virtualenv, "_run", run)
    assert virtualenv.set_up(wanted, home, recreate=False, progress=lambda _: None)
    virtualenv.check(home, "p", wanted.path)
    with pytest.raises(ContentError, match="no index"):
        virtualenv.set_up(wanted, home, recreate=True, progress=lambda _: None)
    # The earlier virtualenv is there again.
    virtualenv.check(home, "p", wanted.path)
    assert refusals == ["the requirements of pack p are being installed; its sensors can start once that is done"] * 3


@pytest.mark.parametrize(
    ("versions", "told"),
    [
        ("['2']", "pack.yaml:2: python_versions: the pack runs on Python 2, and this is {own}; install one"),
        ("['3.99']", "make one with python3.99: st2ctl reload --register-setup-virtualenvs"),
        ("['2', '3']", None),
        ("['{own}']", None),
        ("[]", None),
        ("5", None),
    ],
)
def test_sensors_that_run_on_another_python_than_listed_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, versions: str, told: str | None
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    own = "{}.{}".format(*sys.version_info)
    made = pack(tmp_path, "p", None)
    (made.path / "pack.yaml").write_text(f"name: p\npython_versions: {versions.format(own=own)}\n")
    warning = virtualenv.unsupported(made, tmp_path / "virtualenvs")
    if told is None:
        assert warning is None
    else:
        assert told.format(own=own) in str(warning)
    (tmp_path / "virtualenvs" / "p" / "bin").mkdir(parents=True)
    (tmp_path / "virtualenvs" / "p" / "bin" / "python").touch()
    assert virtualenv.unsupported(made, tmp_path / "virtualenvs") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"message": "x"}'])
def test_a_damaged_note_of_a_failure_is_passed_over(tmp_path: Path, text: str) -> None:
    wanted = pack(tmp_path, "p")
    virtualenv.failure_note(tmp_path, "p").write_text(text)
    with pytest.raises(ContentError, match="has requirements and no virtualenv"):
        virtualenv.check(tmp_path, "p", wanted.path)
