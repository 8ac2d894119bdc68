"""What happened to an event, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from st2sensor.history.event import Recorded, State

Step = tuple[float | None, str]
"""When something happened, in seconds since the epoch, and what."""


def steps(found: Recorded, replays: Sequence[tuple[float, str]]) -> Iterator[Step]:
    """Yield what happened to an event, in order."""
    yield found.created, "dispatched"
    if found.committed is not None:
        yield found.committed, "on disk: dispatch() returned"
    if found.problem:
        yield None, f"not published at first: {found.problem}"
    published = _published(found)
    if found.state is State.WAITING:
        yield None, "waits for the broker: st2sensor list says why"
    elif found.state is State.HELD:
        yield None, "waits because of an operator's limits: st2sensor events release sends it now"
    elif found.state is State.CONFIRMED:
        yield found.settled, f"{published}, and confirmed by the broker"
    elif found.state is State.UNROUTED:
        yield found.settled, f"{published}, but no queue takes it: st2sensor dead-letters list shows it"
    else:
        yield found.settled, f"became a dead letter: {found.reason or 'no reason is known'}"
    for at, target in replays:
        yield at, f"replayed to {target}"


def _published(found: Recorded) -> str:
    late = ", late: another container may have been running the sensor" if found.is_late else ""
    attempts = f" at attempt {found.attempts}" if found.attempts > 1 else ""
    return f"published to {found.exchange} with the routing key {found.routing_key}{attempts}{late}"
