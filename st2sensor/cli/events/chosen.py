"""Choose dead letters: by id, or by sensor, trigger and time."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from st2sensor.cli.text import units
from st2sensor.cli.text.moments import moment_of
from st2sensor.delivery.dead_letters import DeadLetter, DeadLetters


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Chooses dead letters. What is None does not matter.

    :param sensor: PACK.CLASS, or the class alone.
    :param trigger: reference of the trigger or its type.
    :param since: seconds since the epoch: letters that were dispatched then or later.
    :param until: seconds since the epoch: letters that were dispatched earlier.
    :param state: `dead` or `unrouted`.
    """

    sensor: str | None = None
    trigger: str | None = None
    since: float | None = None
    until: float | None = None
    state: str | None = None

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
        return filter(self.fits, dead.all(self.state))


def filter_of(
    sensor: str | None, trigger: str | None, since: str | None, until: str | None, state: str | None = None
) -> Filter:
    """Return a filter from the values of options. Raises click.BadParameter."""
    return Filter(
        sensor=sensor,
        trigger=trigger,
        since=moment_of("--since", since),
        until=moment_of("--until", until),
        state=state,
    )


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
