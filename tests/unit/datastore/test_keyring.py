"""What the log says at the start about the key for secrets."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from st2sensor.datastore.keyring import Keyring
from st2sensor.portable import crypto
from st2sensor.settings import KeyValues


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
