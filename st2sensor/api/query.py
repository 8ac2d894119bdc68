"""Reads the parameters of a request for events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from multidict import MultiMapping

from st2sensor.api.feed import CONSUMED
from st2sensor.api.openapi import LARGEST_LIMIT, LONGEST_WAIT, PARAMETERS
from st2sensor.history.filters import Filters

KNOWN = frozenset({"token", *(str(parameter["name"]) for parameter in PARAMETERS)})

DEFAULTS = {"limit": 100, "wait": 20}
RANGES = {"limit": (1, LARGEST_LIMIT), "wait": (0, LONGEST_WAIT)}


class BadQuery(Exception):
    """A parameter is wrong. The message names it, and says how to correct it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The request of a consumer.

    :param after: a cursor; None: begin with the oldest event.
    :param wait: seconds.
    """

    after: str | None
    filters: Filters
    limit: int
    wait: int


def query(parameters: MultiMapping[str], headers: Mapping[str, str]) -> Query:
    """Return the query in a request. Raises BadQuery.

    :param headers: a browser that connects to a stream again names the last event in `Last-Event-ID`.
    """
    for name in parameters:
        if name not in KNOWN:
            raise BadQuery(f"there is no parameter {name!r}: use {', '.join(sorted(KNOWN - {'token'}))}")
    for name in KNOWN - {"trigger"}:
        if len(parameters.getall(name, [])) > 1:
            raise BadQuery(f"{name} must be given once")
    triggers = parameters.getall("trigger", [])
    after = headers.get("Last-Event-ID") or parameters.get("after")
    if any(not text for text in (*triggers, parameters.get("sensor", "-"), parameters.get("after", "-"))):
        raise BadQuery("after, trigger and sensor must not be empty")
    return Query(
        after=after,
        filters=Filters(sensor=parameters.get("sensor", ""), triggers=frozenset(triggers), states=CONSUMED),
        limit=_number(parameters, "limit"),
        wait=_number(parameters, "wait"),
    )


def _number(parameters: MultiMapping[str], name: str) -> int:
    text = parameters.get(name)
    if text is None:
        return DEFAULTS[name]
    least, most = RANGES[name]
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise BadQuery(f"{name} must be a whole number from {least} to {most}")
    return int(text)
