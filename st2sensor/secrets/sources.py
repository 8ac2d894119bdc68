"""All sources of secrets, as the settings describe them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from st2sensor.secrets.call import Call, call_of
from st2sensor.secrets.files import Files
from st2sensor.secrets.programs import Programs
from st2sensor.secrets.source import Source
from st2sensor.secrets.variables import Variables
from st2sensor.secrets.vault import Vault
from st2sensor.settings import Secrets


class SecretSources:
    """For any thread.

    :param settings: None if nothing is configured: then only the form of calls can be checked.
    :param private: name patterns of variables that programs do not get, in addition to the container's own.
    :param in_container: whether this process is the container, whose variables may be read.
    """

    def __init__(self, settings: Secrets | None, private: Sequence[str] = (), *, in_container: bool = False) -> None:
        self._sources: dict[str, Source] = {}
        self._programs: Programs | None = None
        if settings is not None:
            hidden = (*private, *settings.env_allowed)
            self._programs = Programs(os.environ, hidden, settings.exec_allowed, settings.timeout)
            self._sources = {
                "file": Files(settings.file_folders),
                "env": Variables(os.environ if in_container else None, settings.env_allowed),
                "vault": Vault(settings),
                "exec": self._programs,
            }

    def close(self) -> None:
        """End the worker processes."""
        if self._programs is not None:
            self._programs.close()

    def check(self, arguments: Sequence[object]) -> None:
        """Raise SecretError if a call is malformed, is not allowed, or names a missing file. Reads nothing."""
        call = call_of(arguments)
        if call.source in self._sources:
            self._sources[call.source].check(call.arguments)

    def read(self, call: Call) -> str:
        """Return a secret; blocks. Raises SecretError."""
        return self._sources[call.source].read(call.arguments)
