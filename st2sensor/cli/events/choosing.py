"""Builds filters of events from the options of `events` and `replay`."""

from __future__ import annotations

from collections.abc import Sequence

from st2sensor.cli.text.moments import moment_of
from st2sensor.history.event import State
from st2sensor.history.filters import Filters, condition


def filters_of(
    *,
    sensor: str | None,
    triggers: Sequence[str],
    trace: str | None,
    since: str | None,
    until: str | None,
    where: Sequence[str],
    states: frozenset[State],
) -> Filters:
    """Return the filters that options describe. Raises click.BadParameter and ConfigError.

    :param since: a time as a user writes it; `until` likewise.
    :param where: conditions, such as `payload.disk.percent>90`.
    """
    return Filters(
        sensor=sensor or "",
        triggers=frozenset(triggers),
        trace_tag=trace or "",
        since=moment_of("--since", since),
        until=moment_of("--until", until),
        states=states,
        conditions=tuple(map(condition, where)),
    )
