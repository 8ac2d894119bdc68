"""`st2-generate-symmetric-crypto-key`: create the key file for the datastore's secrets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from st2sensor.cli.text.outcome import print_outcome
from st2sensor.errors import AlreadyThere
from st2sensor.portable import crypto
from st2sensor.system.ownership import hand_over

MODE = 0o600


def generate(_config_files: Sequence[str], *, key_path: Path, json_output: bool) -> None:
    """Create a key file. Raises AlreadyThere if the file exists, and OSError if it cannot be written."""
    try:
        file = os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    except FileExistsError as exception:
        raise AlreadyThere(
            f"{key_path} already exists, and secrets may need it; name another file, and list "
            "this one in [keyvalue] previous_key_paths"
        ) from exception
    with os.fdopen(file, "w") as key:
        # os.open obeys the umask.
        os.fchmod(key.fileno(), MODE)
        key.write(crypto.generate())
    # If root creates the file in a folder of the service's user, the service must still be able to read it.
    hand_over(key_path)
    line = f"{key_path} holds a new key; keep a copy of it in a safe place"
    print_outcome(json_output, line, key_path=str(key_path))
