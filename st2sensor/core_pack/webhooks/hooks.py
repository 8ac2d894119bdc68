"""Maps URLs to the triggers of webhooks."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any


def normalised(url: str) -> str:
    """Return a URL without leading and trailing slashes. Case matters, as in StackStorm."""
    return url.strip("/")


class Hooks:
    """The triggers by URL. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._triggers: dict[str, Mapping[str, Any]] = {}
        self._by_url: dict[str, tuple[str, ...]] = {}

    def put(self, trigger: Mapping[str, Any]) -> str:
        """Add or change a trigger, and return its URL."""
        url = _url(trigger)
        with self._lock:
            self._triggers[trigger["id"]] = trigger
            self._arrange()
        return url

    def remove(self, trigger: Mapping[str, Any]) -> str:
        """Remove a trigger, and return its URL."""
        with self._lock:
            self._triggers.pop(trigger["id"], None)
            self._arrange()
        return _url(trigger)

    def urls(self) -> frozenset[str]:
        """URLs with a trigger, normalised."""
        return frozenset(self._by_url)

    def find(self, url: str) -> tuple[str, ...]:
        """Return the references of a URL's triggers; none for an unknown URL.

        :param url: normalised.
        """
        return self._by_url.get(url, ())

    def _arrange(self) -> None:
        by_url: dict[str, tuple[str, ...]] = {}
        for trigger in self._triggers.values():
            by_url[_url(trigger)] = (*by_url.get(_url(trigger), ()), trigger["ref"])
        self._by_url = by_url


def _url(trigger: Mapping[str, Any]) -> str:
    return normalised(str(trigger["parameters"]["url"]))
