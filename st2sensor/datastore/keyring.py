"""The keys for secrets: the current key encrypts, and earlier keys still decrypt."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from st2sensor.errors import DatastoreError, KeyFileForbidden, KeyFileWrong
from st2sensor.portable import crypto
from st2sensor.portable.crypto import BadKey, Key, NotCiphertext, OtherKey
from st2sensor.settings import KeyValues
from st2sensor.system import regular_file
from st2sensor.system.ownership import hand_over

LOG = logging.getLogger("st2sensor.datastore")

OPTION = "[keyvalue] encryption_key_path"
PREVIOUS = "[keyvalue] previous_key_paths"

LARGEST = 100_000
"""Maximum number of bytes of a key file."""

_Version = tuple[int, int, int]
"""Attributes of a file, at least one of which changes when the file is replaced or written."""


def make_key(path: Path) -> None:
    """Create an encryption key that only its owner can read, unless there is one. Raises OSError."""
    # Another process that reads it must not find an incomplete key.
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.") as file:
        file.write(crypto.generate())
        file.flush()
        with suppress(FileExistsError):
            os.link(file.name, path)
            hand_over(path)


class Keyring:
    """Reads key files when they are needed, and again after a change. For any thread."""

    def __init__(self, settings: KeyValues) -> None:
        self._settings = settings
        self._known: dict[Path, tuple[_Version, Key]] = {}
        self._lock = threading.Lock()

    def tell_unusable(self) -> None:
        """Log why secrets can be neither stored nor read, if that is so. Reads the key's file."""
        if not self._settings.enable_encryption:
            return
        try:
            self._key(self._settings.encryption_key_path, OPTION)
        except DatastoreError as exception:
            # Many hosts store no secrets, and need no key.
            level = logging.INFO if isinstance(exception.__cause__, FileNotFoundError) else logging.WARNING
            LOG.log(level, "%s; until then, secrets can be neither stored nor read", exception)

    def encrypt(self, text: str) -> str:
        """Return ciphertext. Raises DatastoreError if there is no usable key."""
        if not self._settings.enable_encryption:
            raise DatastoreError("secrets cannot be stored: [keyvalue] enable_encryption is false")
        path = self._settings.encryption_key_path
        if self._settings.makes_key and not path.exists():
            self._make(path)
        return self._key(path, OPTION).encrypt(text)

    def decrypt(self, name: str, ciphertext: str) -> str:
        """Return the text of a secret.

        Raises DatastoreError if no key can decrypt it, or a key cannot be used.

        :param name: name of the entry, for messages.
        """
        paths = [(self._settings.encryption_key_path, OPTION)]
        paths += [(path, PREVIOUS) for path in self._settings.previous_key_paths]
        unusable: list[DatastoreError] = []
        for path, option in paths:
            try:
                return self._key(path, option).decrypt(ciphertext)
            except NotCiphertext as exception:
                raise DatastoreError(f"the secret {name} cannot be decrypted: {exception}") from exception
            except DatastoreError as exception:
                # This matters only if no other key can decrypt the secret.
                unusable.append(exception)
            except OtherKey:
                continue
        if unusable:
            raise unusable[0]
        raise DatastoreError(
            f"the secret {name} cannot be decrypted: it was encrypted with a key other than those of {OPTION} and "
            f"{PREVIOUS}, or was changed later"
        )

    def is_current(self, ciphertext: str) -> bool:
        """Return whether a value is encrypted with the current key. Raises DatastoreError if the key cannot be used."""
        try:
            self._key(self._settings.encryption_key_path, OPTION).decrypt(ciphertext)
        except (NotCiphertext, OtherKey):
            return False
        return True

    def _make(self, path: Path) -> None:
        try:
            make_key(path)
        except OSError as exception:
            raise DatastoreError(f"{OPTION}: the key {path} cannot be made: {exception.strerror}") from exception
        LOG.info("%s: made a key at %s; keep a copy of it in a safe place", OPTION, path)

    def _key(self, path: Path, option: str) -> Key:
        try:
            with self._lock:
                status = path.stat()
                version = (status.st_mtime_ns, status.st_ino, status.st_size)
                known = self._known.get(path)
                if known is None or known[0] != version:
                    known = self._known[path] = (version, crypto.parse(regular_file.read(path, LARGEST).decode()))
                    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                        LOG.warning("%s: others may read the key %s; run: chmod 600 %s", option, path, path)
                return known[1]
        except FileNotFoundError as exception:
            raise KeyFileWrong(
                f"{option}: there is no key at {path}; make one with "
                f"st2-generate-symmetric-crypto-key --key-path {path}"
            ) from exception
        except OSError as exception:
            kind = KeyFileForbidden if isinstance(exception, PermissionError) else KeyFileWrong
            raise kind(f"{option}: the key {path} cannot be read: {regular_file.reason(exception)}") from exception
        except (BadKey, UnicodeDecodeError) as exception:
            reason = exception if isinstance(exception, BadKey) else "it is not text"
            raise KeyFileWrong(
                f"{option}: {path} is not a key: {reason}; make one with st2-generate-symmetric-crypto-key"
            ) from exception
