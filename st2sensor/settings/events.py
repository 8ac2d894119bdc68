"""Settings of the way that events take through the container."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """`[outbox]`.

    :param durability: `full`: on disk before dispatch() returns; `process`: survives kill -9, but not power loss.
    :param max_size: most trigger instances that wait; then dispatch() waits.
    :param max_bytes: most bytes of waiting trigger instances; then dispatch() waits.
    :param dead_letters_max_age: days after which dead letters are deleted.
    :param dead_letters_max_number: number of dead letters that are kept, newest first.
    :param dead_letters_max_size: bytes of dead letters that are kept, newest first.
    """

    durability: str = "full"
    max_size: int = 1_000_000
    max_bytes: int = 4_000_000_000
    dead_letters_max_age: float = 30.0
    dead_letters_max_number: int = 10_000
    dead_letters_max_size: int = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Payloads:
    """`[system]`: requirements on payloads.

    :param validate: `validate_trigger_payload`; if false, a payload that breaks its schema is published with a warning.
    :param validation_timeout: seconds that checking one payload may take.
    :param max_size: `max_payload`, in bytes of JSON.
    """

    validate: bool = True
    validation_timeout: float = 2.0
    max_size: int = 16_000_000
