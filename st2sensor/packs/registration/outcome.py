"""What registering one thing came to."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from st2sensor.errors import ContentError, StorageError, StorageUnavailable


class Result(enum.Enum):
    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    WAITING = "waiting"
    """For a trigger type that is not registered; the reload that finds it registers it, too."""
    LEFT = "left to StackStorm"
    GIVEN_BACK = "given back to StackStorm"
    """It was counted here before StackStorm counted it, and is not any more."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """:param kind: pack, sensor, trigger type or rule; :param ref: its reference, or its file when it has none yet."""

    kind: str
    ref: str
    result: Result
    message: str = ""


def failed(kind: str, ref: str, error: ContentError) -> Outcome:
    return Outcome(kind=kind, ref=ref, result=Result.FAILED, message=str(error))


def failures(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Those that did not register."""
    return [outcome for outcome in outcomes if outcome.result is Result.FAILED]


def result_of(known: object | None, declared: object) -> Result:
    if known is None:
        return Result.CREATED
    return Result.UNCHANGED if known == declared else Result.CHANGED


@contextmanager
def blaming(file: str) -> Iterator[None]:
    """What the database refuses is wrong with the file that it comes from, and with nothing else. Raises ContentError,
    and StorageUnavailable for a database that is away."""
    try:
        yield
    except StorageUnavailable:
        raise
    except StorageError as error:
        raise ContentError(f"what it declares cannot be stored: {error}", file=file) from error
