"""A configuration without servers, and a stand-in for the container."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from st2sensor.reports import CONTROL_SOCKET
from tests.support.control_peer import CONFIG, Answers, Peer


@pytest.fixture
def config_file(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # Without a terminal, tables have any width, unless this variable limits them.
    monkeypatch.delenv("COLUMNS", raising=False)
    # A short path, because the length of a socket's path is limited.
    with tempfile.TemporaryDirectory(prefix="st2s-") as folder:
        path = Path(folder) / "st2.conf"
        path.write_text(CONFIG)
        (path.parent / "state").mkdir()
        yield path


@pytest.fixture
def peer(config_file: Path) -> Iterator[Callable[..., Peer]]:
    made = []

    def make(answers: Answers, **options: Any) -> Peer:
        made.append(Peer(config_file.parent / "state" / CONTROL_SOCKET, answers, **options))
        return made[-1]

    yield make
    for item in made:
        item.close()
