"""What is said about a history that cannot be read."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from st2sensor.errors import HistoryError, HistoryForbidden
from st2sensor.history.file import unreadable


@pytest.mark.parametrize(
    ("error", "is_there", "may_use", "kind"),
    [
        (sqlite3.OperationalError("unable to open database file"), True, False, HistoryForbidden),
        (sqlite3.OperationalError("disk I/O error"), True, True, HistoryError),
        (FileNotFoundError(2, "No such file"), False, False, HistoryError),
        (PermissionError(13, "Permission denied"), False, False, HistoryForbidden),
    ],
)
def test_only_a_user_without_access_is_told_to_become_another(
    error: Exception,
    is_there: bool,
    may_use: bool,
    kind: type[HistoryError],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if is_there:
        (tmp_path / "history.db").touch()
    monkeypatch.setattr(os, "access", lambda *_, **__: may_use)
    told = unreadable(tmp_path / "history.db", error)
    assert type(told) is kind
    assert ("run this as the container's user, or as root" in str(told)) is (kind is HistoryForbidden)
