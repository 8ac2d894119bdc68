"""Why a request is not accepted, as it is answered."""

from __future__ import annotations


class Refusal(Exception):
    """:param status: of HTTP.
    :param reason: for whoever sent the request.
    :param headers: of the answer.
    """

    def __init__(self, status: int, reason: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers or {}
