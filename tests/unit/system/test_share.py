"""Where the files next to the code are, in a checkout and without one."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from st2sensor.errors import ConfigError
from st2sensor.system import share
from tests.support.workspace import ROOT


def test_a_checkout_is_its_own_share() -> None:
    assert share.share() == ROOT


def test_a_copy_without_the_files_is_reported_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "__file__", str(tmp_path / "st2sensor" / "system" / "share.py"))
    monkeypatch.setattr(metadata, "files", lambda _: None)
    with pytest.raises(ConfigError, match="without its share/st2sensor: install it with pip"):
        share.share()
