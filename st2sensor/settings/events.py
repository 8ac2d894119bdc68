"""Settings of the path of events through the container."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """`[outbox]`.

    :param durability: `full`: on disk before dispatch() returns; `process`: survives kill -9, but not power loss.
    :param max_size: maximum number of waiting trigger instances; when it is reached, dispatch() blocks.
    :param max_bytes: maximum size of all waiting trigger instances, in bytes; when it is reached, dispatch() blocks.
    :param dead_letters_max_age: days after which dead letters are deleted.
    :param dead_letters_max_number: maximum number of dead letters; the newest are kept.
    :param dead_letters_max_size: maximum size of all dead letters, in bytes; the newest are kept.
    :param unrouted_max_age: days after which trigger instances that no queue took are deleted.
    :param unrouted_max_number: maximum number of these; the newest are kept.
    :param unrouted_max_size: maximum size of all of these, in bytes; the newest are kept.
    """

    durability: str = "full"
    max_size: int = 1_000_000
    max_bytes: int = 4_000_000_000
    dead_letters_max_age: float = 30.0
    dead_letters_max_number: int = 10_000
    dead_letters_max_size: int = 100_000_000
    unrouted_max_age: float = 7.0
    unrouted_max_number: int = 100_000
    unrouted_max_size: int = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Payloads:
    """`[system]`: requirements on payloads.

    :param validate: `validate_trigger_payload`; if false, a payload that breaks its schema is published with a warning.
    :param validation_timeout: seconds that checking one payload may take.
    :param max_size: `max_payload`: maximum size of a payload, in bytes of JSON.
    """

    validate: bool = True
    validation_timeout: float = 2.0
    max_size: int = 16_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """`[history]`.

    :param enable: whether events are kept after they have left the outbox.
    :param max_age: days for which events are kept.
    :param max_bytes: maximum size of the history's file, in bytes; the newest events are kept.
    :param payloads: `full`: events are kept with their payloads; `none`: without.
    """

    enable: bool = True
    max_age: float = 7.0
    max_bytes: int = 1_000_000_000
    payloads: str = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """`[push]`.

    :param targets: file that lists the targets; None for no targets.
    :param timeout: seconds that a request may take.
    :param retry_max: maximum number of seconds between two attempts, before jitter.
    """

    targets: Path | None = None
    timeout: float = 10.0
    retry_max: float = 60.0
