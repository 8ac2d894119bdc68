"""The contract of a source of secrets, and limits that all of them share."""

from __future__ import annotations

from typing import Protocol

from st2sensor.errors import SecretError

MAX_SIZE = 65_536
"""Maximum size of a secret in bytes."""


class Source(Protocol):
    """For any thread."""

    def check(self, arguments: tuple[str, ...]) -> None:
        """Raise SecretError if the settings do not allow a read, or if it can be seen to fail, without reading."""

    def read(self, arguments: tuple[str, ...]) -> str:
        """Return a secret; blocks. Raises SecretError, and SecretUnavailable if a later read may succeed."""


def text_of(data: bytes, whose: str) -> str:
    """Return a secret as text without its final line end. Raises SecretError.

    :param whose: the origin, for messages.
    """
    if len(data) > MAX_SIZE:
        raise SecretError(f"{whose} has more than {MAX_SIZE:,} bytes; a secret must be shorter")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise SecretError(f"{whose} is not UTF-8; store it as text, for example in base64") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise SecretError(f"{whose} is empty; write the secret there")
    return text
