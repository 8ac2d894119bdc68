"""A call of `secret(...)` in a configuration: its source and its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from st2sensor.errors import SecretError

FORMS = {
    "file": "secret('file', PATH)",
    "env": "secret('env', NAME)",
    "vault": "secret('vault', PATH, FIELD)",
    "exec": "secret('exec', PROGRAM, ...)",
}
"""The form of a call, by source."""

COUNTS = {"file": 1, "env": 1, "vault": 2}
"""Number of arguments after the source; a program takes any number."""


class Call(NamedTuple):
    """A call that is well formed.

    :param source: `file`, `env`, `vault` or `exec`.
    """

    source: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        """Return the call for messages, without the arguments of a program, because they may be secret."""
        shown = self.arguments[:1] if self.source == "exec" else self.arguments
        rest = ", ..." if len(shown) < len(self.arguments) else ""
        return f"secret({', '.join(map(repr, (self.source, *shown)))}{rest})"


def call_of(arguments: Sequence[object]) -> Call:
    """Return a call. Raises SecretError if it is malformed."""
    if not all(isinstance(argument, str) and argument and "\0" not in argument for argument in arguments):
        raise SecretError("every argument of secret() must be non-empty text")
    source, *rest = map(str, arguments or ("",))
    if source not in FORMS:
        known = ", ".join(FORMS)
        raise SecretError(f"secret() knows no source {source!r}; write one of {known}" if source else _empty())
    if not rest or len(rest) != COUNTS.get(source, len(rest)):
        raise SecretError(f"secret() has {len(rest)} arguments after {source!r}; write {FORMS[source]}")
    return Call(source, tuple(rest))


def _empty() -> str:
    return f"secret() has no arguments; write one of {'; '.join(FORMS.values())}"
