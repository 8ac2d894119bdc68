"""Choose dead letters: by id, or by sensor, trigger and time."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from st2sensor.cli.text import units
from st2sensor.delivery.dead_letters import DeadLetter, DeadLetters
from st2sensor.portable import isotime

AGO = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Chooses dead letters. What is None does not matter.

    :param sensor: PACK.CLASS, or the class alone.
    :param trigger: reference of the trigger or its type.
    :param since: seconds since the epoch: letters that were dispatched then or later.
    :param until: seconds since the epoch: letters that were dispatched earlier.
    """

    sensor: str | None = None
    trigger: str | None = None
    since: float | None = None
    until: float | None = None

    def fits(self, letter: DeadLetter) -> bool:
        entry = letter.entry
        return (
            self.sensor in (None, entry.sensor, entry.sensor.rpartition(".")[2])
            and self.trigger in (None, entry.trigger, entry.trigger_type)
            and (self.since is None or entry.created >= self.since)
            and (self.until is None or entry.created < self.until)
        )

    def letters(self, dead: DeadLetters) -> Iterator[DeadLetter]:
        """Iterate over the letters that fit, oldest first. Raises OutboxError, AccessDenied."""
        return filter(self.fits, dead.all())


def filter_of(sensor: str | None, trigger: str | None, since: str | None, until: str | None) -> Filter:
    """Return a filter from the values of options. Raises click.BadParameter."""
    return Filter(sensor=sensor, trigger=trigger, since=_moment("--since", since), until=_moment("--until", until))


def _moment(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    ago = AGO.fullmatch(text)
    if ago is not None:
        return time.time() - float(ago[1]) * SECONDS[ago[2]]
    try:
        return isotime.parse(text if re.search("[T ]", text) else f"{text}T00:00:00").timestamp()
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a time; write 2026-01-31T12:00:00Z, 2026-01-31, or 90s, 30m, 2h or 7d for a time ago",
            param_hint=option,
        ) from None


def require_one_kind(identifiers: Sequence[int], everything: bool, is_filtered: bool) -> None:
    """Raise click.UsageError if ids are combined with --all or a filter."""
    if identifiers and (everything or is_filtered):
        raise click.UsageError("name ids, or choose with --all or a filter, but not both")


def confirmed(verb: str, number: int, *, yes: bool) -> bool:
    """Ask whether to do something to all chosen letters. Raises click.UsageError if there is no terminal to ask at.

    :param verb: the beginning of the question, such as `Delete`.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"this would {verb.lower()} {units.count(number, 'dead letter')}, and there is no terminal to confirm it "
            "at; name the ids, or add --yes"
        )
    return click.confirm(f"{verb} {units.count(number, 'dead letter')}?", err=True)
