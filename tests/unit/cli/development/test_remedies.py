"""Remedies, as `st2sensor dev` gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from st2sensor.cli.development import remedies
from st2sensor.errors import ContentError
from st2sensor.packs.code import virtualenv
from st2sensor.wrapper.loading import remedy

HOME = Path("/home/me/.cache/st2sensor/dev/p-1")


def _missing(pack: Path, required: str) -> str:
    (pack / "sensors").mkdir(parents=True, exist_ok=True)
    (pack / "requirements.txt").write_text(required)
    return remedy.of_missing_module("nowhere", str(pack / "sensors" / "s.py"))[1]


@pytest.mark.parametrize("virtualenvs", [True, False])
def test_no_remedy_of_dev_is_a_command_of_production(tmp_path: Path, virtualenvs: bool) -> None:
    (tmp_path / "lib" / "shared").mkdir(parents=True)
    said = [_missing(tmp_path, ""), _missing(tmp_path, "nowhere"), _missing(tmp_path, "other")]
    said.append(remedy.of_missing_module("shared", str(tmp_path / "sensors" / "s.py"))[1])
    with pytest.raises(ContentError) as no_virtualenv:
        virtualenv.check(tmp_path / "virtualenvs", "p", tmp_path)
    said.append(str(no_virtualenv.value))
    for text in said:
        shown = remedies.here(text, HOME, virtualenvs=virtualenvs)
        assert shown != text
        assert "st2ctl" not in shown
        assert "dev" in shown.rpartition(";")[2] or "dev" in shown.rpartition(",")[2]


def test_what_dev_installs_by_itself_need_only_be_added(tmp_path: Path) -> None:
    added = remedies.here(_missing(tmp_path, ""), HOME, virtualenvs=True)
    assert added == "add it to the pack's requirements.txt; dev installs it"
    assert f"delete {HOME}/virtualenvs, and start dev again" in remedies.here(
        _missing(tmp_path, "nowhere"), HOME, virtualenvs=True
    )
