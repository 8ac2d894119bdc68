"""The answer to a request that is not accepted."""

from __future__ import annotations


class Refusal(Exception):
    """A request is not accepted.

    :param status: the HTTP status.
    :param reason: a message for the sender.
    :param headers: headers of the answer.
    """

    def __init__(self, status: int, reason: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers or {}
