"""The parameters of a request for events."""

from __future__ import annotations

import pytest
from multidict import MultiDict

from st2sensor.api.query import BadQuery, query


def test_what_is_not_given_has_defaults() -> None:
    found = query(MultiDict(), {})
    assert (found.after, found.limit, found.wait) == (None, 100, 20)
    assert (found.filters.sensor, found.filters.triggers) == ("", frozenset())
    assert found.filters.states == {"confirmed", "unrouted"}


def test_every_parameter_is_read() -> None:
    given = MultiDict(
        [("after", "a.5"), ("trigger", "a.b"), ("trigger", "c.d"), ("sensor", "p.S"), ("limit", "7"), ("wait", "0")]
    )
    found = query(given, {})
    assert (found.after, found.limit, found.wait, found.filters.sensor) == ("a.5", 7, 0, "p.S")
    assert found.filters.triggers == {"a.b", "c.d"}


def test_a_browser_that_connects_again_continues_after_its_last_event() -> None:
    assert query(MultiDict({"after": "a.5"}), {"Last-Event-ID": "a.9"}).after == "a.9"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([("aftr", "x")], "there is no parameter 'aftr'"),
        ([("limit", "0")], "limit must be a whole number from 1 to 1000"),
        ([("limit", "1001")], "limit must be"),
        ([("limit", "5.5")], "limit must be"),
        ([("limit", "²")], "limit must be"),
        ([("limit", "9" * 5000)], "limit must be"),
        ([("wait", "-1")], "wait must be a whole number from 0 to 60"),
        ([("wait", "1"), ("wait", "2")], "wait must be given once"),
        ([("after", "")], "must not be empty"),
        ([("trigger", "")], "must not be empty"),
        ([("sensor", "")], "must not be empty"),
    ],
)
def test_a_wrong_parameter_is_refused(given: list[tuple[str, str]], words: str) -> None:
    with pytest.raises(BadQuery, match=words):
        query(MultiDict(given), {})
