"""Generates the events of healthy sensors for a month, by fixed seeds.

Each kind is a rhythm that sensors of public packs have. Times are seconds since the month began, on a Monday.

- periodic: every 1 minute to 6 hours, each event late or early by up to a tenth of that;
- daily: at random times of the working day, each day, 6 to 60 events;
- weekly: the same, but not on Saturdays and Sundays;
- bursty: 2 to 30 bursts a day, each with 5 to 40 events within a few minutes;
- poisson: 1 to 500 events a day, independent of each other.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

HOUR, DAY = 3600.0, 86400.0

MONTH = 30 * DAY


def periodic(chance: random.Random) -> list[float]:
    period = chance.choice([60.0, 300.0, HOUR, 6 * HOUR])
    return [(number + chance.uniform(-0.1, 0.1)) * period for number in range(1, int(MONTH / period))]


def daily(chance: random.Random, rest: frozenset[int] = frozenset()) -> list[float]:
    begin, end = chance.uniform(6, 9) * HOUR, chance.uniform(16, 20) * HOUR
    number = chance.randint(6, 60)
    days = (day for day in range(30) if day % 7 not in rest)
    return [day * DAY + chance.uniform(begin, end) for day in days for _ in range(number)]


def weekly(chance: random.Random) -> list[float]:
    return daily(chance, frozenset({5, 6}))


def bursty(chance: random.Random) -> list[float]:
    found = []
    for start in poisson(chance, chance.uniform(2, 30)):
        found += [start + chance.uniform(0, 300) for _ in range(chance.randint(5, 40))]
    return found


def poisson(chance: random.Random, a_day: float | None = None) -> list[float]:
    rate = (10 ** chance.uniform(0, 2.7) if a_day is None else a_day) / DAY
    found, now = [], chance.expovariate(rate)
    while now < MONTH:
        found.append(now)
        now += chance.expovariate(rate)
    return found


KINDS: Mapping[str, Callable[[random.Random], list[float]]] = {
    "periodic": periodic,
    "daily": daily,
    "weekly": weekly,
    "bursty": bursty,
    "poisson": poisson,
}


def sensors(number: int, seed: int) -> list[tuple[str, list[float]]]:
    """Return the kind and the sorted times of each sensor's events in one month, equally many of each kind."""
    names = list(KINDS)
    return [
        (kind, sorted(KINDS[kind](random.Random(f"{seed} {index}"))))
        for index, kind in ((index, names[index % len(names)]) for index in range(number))
    ]
