"""An operator's limits for the events of a sensor."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)/(s|m|h|d)")
WINDOW = re.compile(r"([0-9]+(?:\.[0-9]+)?)(s|m|h|d)")
SAMPLE = re.compile(r"1/([1-9][0-9]{0,8})")

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

DELAY, HOLD = OVERS = "delay", "hold"
"""What happens to events above the rate: they leave later, at the rate, or when an operator releases them."""

TYPES = "triggers"
"""The key of the limits for single trigger types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A token bucket.

    :param bucket: name of the bucket, which several trigger types of a sensor may share.
    :param rate: events per second.
    :param burst: number of events that may leave at once.
    :param holds: whether further events wait for an operator. If not, they leave at the rate.
    """

    bucket: str
    rate: float
    burst: float
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits for the events that one sensor dispatches of one trigger type.

    :param rate: None for no limit.
    :param key: paths of the payload's values that make two events repeats of each other; empty if all are different.
    :param window: seconds within which a repeat is dropped.
    :param sample: number of events of which one is kept.
    """

    rate: Rate | None = None
    key: tuple[str, ...] = ()
    window: float = 0.0
    sample: int = 1

    @property
    def is_unlimited(self) -> bool:
        return self.rate is None and not self.key and self.sample == 1


UNLIMITED = Limits()


class SensorLimits:
    """The limits of one sensor, as its overrides declare them.

    :param declared: a mapping that fits the schema of overrides.

    Raises ValueError for one that does not.
    """

    def __init__(self, sensor: str, declared: Mapping[str, Any]) -> None:
        self._rest = _limits(declared, sensor)
        self._types: dict[str, Limits] = {}
        for ref, own in (declared.get(TYPES) or {}).items():
            bucket = f"{sensor} {ref}" if "rate" in own else sensor
            self._types[ref] = _limits({**declared, **own}, bucket)

    @property
    def rates(self) -> dict[str, Rate]:
        """The rates by bucket."""
        found = (limits.rate for limits in (self._rest, *self._types.values()))
        return {rate.bucket: rate for rate in found if rate is not None}

    def of(self, trigger_type: str) -> Limits:
        """Return the limits of one trigger type. Its own take precedence over the sensor's, key by key."""
        return self._types.get(trigger_type, self._rest)


def described(declared: Mapping[str, Any]) -> str:
    """Return limits in one line, as their file declares them."""
    parts = [f"{name} {declared[name]}" for name in ("rate", "burst", "over", "sample") if name in declared]
    if declared.get("dedupe"):
        parts.append(f"dedupe {', '.join(declared['dedupe']['key'])} within {declared['dedupe']['window']}")
    parts += [f"{ref}: {described(own)}" for ref, own in (declared.get(TYPES) or {}).items()]
    return "; ".join(parts)


def flaw_in(declared: Mapping[str, Any]) -> str:
    """Return the problem with a mapping of limits that has the right form; empty if there is none."""
    try:
        SensorLimits("", declared)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        return str(error)
    return ""


def _limits(declared: Mapping[str, Any], bucket: str) -> Limits:
    dedupe = declared.get("dedupe") or {}
    rate = None
    if declared.get("rate") is not None:
        per_second = _per_second(declared["rate"])
        burst = declared.get("burst")
        rate = Rate(
            bucket=bucket,
            rate=per_second,
            burst=float(max(1, math.ceil(per_second)) if burst is None else burst),
            holds=declared.get("over", DELAY) == HOLD,
        )
    elif "burst" in declared or "over" in declared:
        raise ValueError("burst and over need a rate, as in rate: 10/s")
    return Limits(
        rate=rate,
        key=tuple(dedupe.get("key", ())),
        window=_window(dedupe["window"]) if dedupe else 0.0,
        sample=_sample(declared.get("sample") or "1/1"),
    )


def _per_second(text: str) -> float:
    found = RATE.fullmatch(text)
    if found is None or float(found[1]) <= 0:
        raise ValueError(f"rate must be a number above 0 per s, m, h or d, as in 10/s, not {text!r}")
    return float(found[1]) / SECONDS[found[2]]


def _window(text: str) -> float:
    found = WINDOW.fullmatch(text)
    if found is None or float(found[1]) <= 0:
        raise ValueError(f"dedupe.window must be a number above 0 of s, m, h or d, as in 10m, not {text!r}")
    return float(found[1]) * SECONDS[found[2]]


def _sample(text: str) -> int:
    found = SAMPLE.fullmatch(text)
    if found is None:
        raise ValueError(f"sample must have the form 1/100, not {text!r}")
    return int(found[1])
