"""Keys for secrets: made where that is possible, and named in the log where they cannot be used."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from st2sensor.datastore.keyring import Keyring, make_key
from st2sensor.errors import DatastoreError
from st2sensor.portable import crypto
from st2sensor.settings import KeyValues


def keyring(path: Path, *, makes_key: bool) -> Keyring:
    return Keyring(KeyValues(enable_encryption=True, encryption_key_path=path, makes_key=makes_key))


def test_a_missing_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    first = keyring(path, makes_key=True).encrypt("hush")
    assert path.stat().st_mode & 0o777 == 0o600
    again = keyring(path, makes_key=True)
    assert again.decrypt("k", first) == "hush"
    assert again.decrypt("k", again.encrypt("too")) == "too"
    text = path.read_text()
    make_key(path)
    assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_is_made_neither_elsewhere_nor_where_that_is_impossible(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    with pytest.raises(DatastoreError, match=r"there is no key at .*key\.json; make one with"):
        keyring(path, makes_key=False).encrypt("hush")
    with pytest.raises(DatastoreError, match="there is no key at"):
        keyring(path, makes_key=True).decrypt("k", "AA")
    assert not path.exists()
    with pytest.raises(DatastoreError, match=r"key\.json cannot be made: No such file"):
        keyring(tmp_path / "gone" / "key.json", makes_key=True).encrypt("hush")


@pytest.mark.parametrize(
    ("kind", "enabled", "level", "told"),
    [
        ("missing", True, "INFO", "there is no key at"),
        ("wrong", True, "WARNING", "is not a key"),
        ("missing", False, None, ""),
        ("good", True, None, ""),
    ],
)
def test_a_key_that_cannot_be_used_is_told_at_the_start(
    kind: str, enabled: bool, level: str | None, told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "key.json"
    if kind != "missing":
        path.write_text(crypto.generate() if kind == "good" else "{}")
        path.chmod(0o600)
    caplog.set_level(logging.INFO)
    Keyring(KeyValues(enable_encryption=enabled, encryption_key_path=path, previous_key_paths=())).tell_unusable()
    assert [record.levelname for record in caplog.records] == ([] if level is None else [level])
    assert told in caplog.text
    assert level is None or "until then, secrets can be neither stored nor read" in caplog.text
