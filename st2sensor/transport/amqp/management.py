"""RabbitMQ's management API: which queues are bound to an exchange. It is only read."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from st2sensor.transport.route import QueueState, Route

TIMEOUT = 3.0
"""Seconds that one answer may take."""

ALL = 8.0
"""Seconds that all answers together may take."""

LARGEST = 8_000_000
"""Maximum size of an answer, in bytes."""

MOST = 50
"""Maximum number of queues that are checked."""


class Management:
    """:param url: `http://USER:PASSWORD@HOST:PORT`, or `https`."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._until = time.monotonic() + ALL

    def completed(self, route: Route) -> Route:
        """Return a route with all queues that are bound. If the API fails, the route says why, and is not complete."""
        host = quote(route.virtual_host, safe="")
        try:
            bindings = self._get(f"/api/exchanges/{host}/{quote(route.exchange, safe='')}/bindings/source")
            keys: dict[str, list[str]] = {}
            for binding in bindings:
                if binding["destination_type"] == "queue":
                    keys.setdefault(str(binding["destination"]), []).append(str(binding["routing_key"]))
            queues = [self._queue(host, name, bound) for name, bound in sorted(keys.items())[:MOST]]
            others = self._others(route)
        except (OSError, HTTPException, ValueError, TypeError, KeyError) as error:
            return replace(route, note=f"RabbitMQ's management API does not list the bindings: {_told(error)}")
        note = f"only {MOST} of {len(keys)} queues were checked" if len(keys) > MOST else ""
        return replace(route, queues=tuple(queues), is_complete=True, others=others, note=note)

    def _queue(self, host: str, name: str, bound: list[str]) -> QueueState:
        found = self._get(f"/api/queues/{host}/{quote(name, safe='')}")
        return QueueState(
            name=name, bindings=tuple(bound), messages=_number(found, "messages"), consumers=_number(found, "consumers")
        )

    def _others(self, route: Route) -> tuple[str, ...]:
        """Return other exchanges for trigger instances, each with its virtual host."""
        _, _, end = route.exchange.rpartition(".")
        here = (route.virtual_host, route.exchange)
        found = [(str(item["vhost"]), str(item["name"])) for item in self._get("/api/exchanges?columns=vhost,name")]
        return tuple(sorted(f"{name} in {host}" for host, name in found if name.endswith(end) and (host, name) != here))

    def _get(self, path: str) -> Any:
        left = min(TIMEOUT, self._until - time.monotonic())
        if left <= 0:
            raise TimeoutError(f"it took more than {ALL:g} s")
        kind = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        login = f"{unquote(self._parts.username or '')}:{unquote(self._parts.password or '')}".encode()
        headers = {"Authorization": f"Basic {base64.b64encode(login).decode()}"}
        with closing(kind(self._parts.hostname or "", self._parts.port, timeout=left)) as connection:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = b""
            while len(body) <= LARGEST and (part := answer.read1(LARGEST)):
                body += part
                if time.monotonic() > self._until:
                    raise TimeoutError(f"it took more than {ALL:g} s")
        if answer.status != 200:
            raise OSError(f"it answers {answer.status} to {path}")
        if len(body) > LARGEST:
            raise OSError(f"its answer to {path} has more than {LARGEST:,} bytes")
        return json.loads(body)


def _number(found: Mapping[str, Any], name: str) -> int | None:
    value = found.get(name)
    return value if isinstance(value, int) else None


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, OSError) else type(error).__name__
