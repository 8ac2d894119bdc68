"""The search for odd entries: how often it runs."""

from __future__ import annotations

from typing import Any

from st2sensor.storage.mongo.unfindable import LOOK_INTERVAL, MOST_FOUND, QUERY, Unfindable


class Entries:
    """A collection with one odd entry."""

    def __init__(self) -> None:
        self.searches: list[tuple[Any, int]] = []

    def find(self, query: Any, limit: int) -> list[dict[str, Any]]:
        self.searches.append((query, limit))
        return [{"_id": 1, "scope": "st2kv.system"}]


def test_a_search_runs_at_once_and_later_once_in_each_interval() -> None:
    now = 100.0
    entries: Any = Entries()
    unfindable = Unfindable(lambda: now)
    assert list(unfindable.documents(entries)) == [{"_id": 1, "scope": "st2kv.system"}]
    now += LOOK_INTERVAL - 1
    assert list(unfindable.documents(entries)) == []
    now += 1
    assert len(list(unfindable.documents(entries))) == 1
    assert entries.searches == [(QUERY, MOST_FOUND)] * 2
