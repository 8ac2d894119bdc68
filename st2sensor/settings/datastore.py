"""Settings of the datastore and its encryption."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValues:
    """`[keyvalue]`.

    :param enable_encryption: whether secrets can be stored.
    :param encryption_key_path: file of the key that encrypts secrets.
    :param previous_key_paths: files of earlier keys, which still decrypt secrets.
    :param makes_key: whether a missing key is made when a secret is first stored, because the key belongs next to an
        embedded database, which nobody else uses.
    """

    enable_encryption: bool
    encryption_key_path: Path
    previous_key_paths: tuple[Path, ...] = ()
    makes_key: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Datastore:
    """`[datastore]`.

    :param timeout: seconds that a sensor's call waits while the database is unreachable.
    :param global_write: `allow` or `deny`: whether sensors may change the keys that all sensors share.
    :param decrypt_global: `allow` or `deny`: whether sensors may decrypt the keys that all sensors share.
    :param emit_triggers: whether changes are announced as core.st2.key_value_pair.* triggers.
    """

    timeout: float = 30.0
    global_write: str = "allow"
    decrypt_global: str = "allow"
    emit_triggers: bool = True
