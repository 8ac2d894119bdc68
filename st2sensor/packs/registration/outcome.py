"""The outcome of registering one item."""

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
    """The rule's trigger type is not registered yet. The reload that registers it also registers the rule."""
    LEFT = "left to StackStorm"
    GIVEN_BACK = "given back to StackStorm"
    """The rule was counted here before StackStorm counted it, and no longer is."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome for one item.

    :param kind: pack, sensor, trigger type, rule or virtualenv.
    :param ref: the item's reference, or its file if it has none yet.
    """

    kind: str
    ref: str
    result: Result
    message: str = ""


def failed(kind: str, ref: str, error: ContentError) -> Outcome:
    return Outcome(kind=kind, ref=ref, result=Result.FAILED, message=str(error))


def failures(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return the outcomes of items that failed."""
    return [outcome for outcome in outcomes if outcome.result is Result.FAILED]


def result_of(known: object | None, declared: object) -> Result:
    if known is None:
        return Result.CREATED
    return Result.UNCHANGED if known == declared else Result.CHANGED


@contextmanager
def blaming(file: str) -> Iterator[None]:
    """Blame a file for content that the database refuses, so that only this file fails.

    Raises ContentError, and StorageUnavailable when the database is unreachable.
    """
    try:
        yield
    except StorageUnavailable:
        raise
    except StorageError as error:
        raise ContentError(f"its content cannot be stored: {error}", file=file) from error
