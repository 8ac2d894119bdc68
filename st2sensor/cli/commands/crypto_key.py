"""Makes the file of a key that the datastore's secrets are encrypted under."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from st2sensor.portable import crypto

MODE = 0o600


def generate(_config_files: Sequence[str], *, key_path: Path) -> None:
    """Raises ClickException for a file that is there, or cannot be written."""
    try:
        file = os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    except FileExistsError as exception:
        raise click.ClickException(
            f"{key_path} is there already: without it, what was encrypted under it is lost; name another file, and put "
            "this one into [keyvalue] previous_key_paths"
        ) from exception
    except OSError as exception:
        raise click.ClickException(f"cannot write {key_path}: {exception.strerror}") from exception
    with os.fdopen(file, "w") as key:
        # Whatever the umask takes away.
        os.fchmod(key.fileno(), MODE)
        key.write(crypto.generate())
    click.echo(f"{key_path} holds a new key; keep a copy of it in a safe place")
