"""Secrets in the container's environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from st2sensor.errors import SecretError, SecretUnavailable
from st2sensor.secrets.source import text_of
from st2sensor.system.environment import PRIVATE


class Variables:
    """Reads variables that an operator has listed, but never variables that are meant for the container, such as ST2_*.

    :param environment: the container's environment; None in other processes, where it is not known.
    :param allowed: name patterns.
    """

    def __init__(self, environment: Mapping[str, str] | None, allowed: Sequence[str]) -> None:
        self._environment = environment
        self._allowed = allowed

    def check(self, arguments: tuple[str, ...]) -> None:
        (name,) = arguments
        if any(fnmatchcase(name, pattern) for pattern in PRIVATE):
            raise SecretError(f"{name} belongs to the container; copy its value to a variable with another name")
        if not any(fnmatchcase(name, pattern) for pattern in self._allowed):
            raise SecretError(f"the variable {name} is not in [secrets] env_allowed; add it there")

    def read(self, arguments: tuple[str, ...]) -> str:
        self.check(arguments)
        (name,) = arguments
        if self._environment is None:
            raise SecretUnavailable(f"only the container knows its variable {name}")
        if name not in self._environment:
            raise SecretError(f"the container has no variable {name}; set it, and restart the container")
        return text_of(self._environment[name].encode(errors="surrogateescape"), f"the variable {name}")
