"""The answer to `why`: all findings about an event, causes first. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from st2sensor.why.causes import broker, here, rules
from st2sensor.why.facts import Facts
from st2sensor.why.finding import CAUSE, Finding

LOOKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    here.of_search,
    here.of_life,
    here.of_type,
    broker.of_route,
    broker.of_serializer,
    rules.of_instance,
    rules.of_rules,
)
"""The functions that find causes, in the order of an event's route."""


def findings(facts: Facts) -> list[Finding]:
    """Return everything that was found out: causes before notes, each in the order of an event's route."""
    # Someone who asks about a trigger, and not about an event, also needs to know why no new events come.
    looks = (*LOOKS[:1], here.of_sensors, *LOOKS[1:]) if facts.is_trigger else LOOKS
    found = [finding for look in looks for finding in look(facts)]
    return sorted(found, key=lambda finding: finding.level != CAUSE)
