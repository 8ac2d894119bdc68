"""Asks the other nodes that share sensors for their events, over the HTTP port of each."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from typing import Any, TypeGuard
from urllib.parse import urlencode, urlsplit

from st2sensor.cli.inspection import leases
from st2sensor.cli.text.printable import in_line
from st2sensor.errors import StorageError
from st2sensor.models import Member
from st2sensor.portable import isotime
from st2sensor.settings import Settings
from st2sensor.sharing.overview import DEAD

NODE_TIMEOUT = 15.0
"""Seconds that a node has for each part of its answer."""

ANSWER_LIMIT = 32_000_000
"""Maximum number of bytes of an answer."""

AT_ONCE = 16
"""Maximum number of nodes that are asked at the same time."""

NONE = b"no event"
"""The beginning of the answer of a node that does not have an event."""

SHOWN = {"message_id": str, "state": str, "trigger_type": str, "dispatched": str, "kept": bool}
"""The types of an event's fields that are shown in a list."""

ALONE = ("default", "shared")
"""Providers with which a node either runs all sensors, or knows the others from the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a node answered.

    :param document: its answer; None if it has nothing of that kind.
    :param problem: why it was not asked, or gave no answer; empty if it did.
    """

    node: str
    document: Mapping[str, Any] | None = None
    problem: str = ""


def ask(settings: Settings, path: str, parameters: Sequence[tuple[str, str]] = ()) -> list[Answer]:
    """Ask all other nodes at the same time. Nothing is asked if sensors are not shared.

    :param path: of the request, such as `/history`.
    """
    others = list(_others(settings))
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(
            threads.map(
                lambda item: item if isinstance(item, Answer) else _asked(settings, item, path, parameters), others
            )
        )


def not_asked(answers: Sequence[Answer]) -> list[str]:
    """Return a line for each node that gave no answer."""
    return [in_line(f"not asked: {answer.node}: {answer.problem}") for answer in answers if answer.problem]


def sound(event: object) -> TypeGuard[Mapping[str, Any]]:
    """Return whether an answer's event has what is shown of every event."""
    if not isinstance(event, dict) or "payload" not in event or not isinstance(event.get("timeline", []), list):
        return False
    return all(isinstance(event.get(name), kind) for name, kind in SHOWN.items()) and isotime.validate(
        event["dispatched"], raise_exception=False
    )


def _others(settings: Settings) -> Iterator[Member | Answer]:
    """Yield the other nodes, or why they cannot be asked."""
    container = settings.container
    if container.sharing is None:
        provider = container.partition_provider.get("name", "default")
        if provider not in ALONE:
            problem = f"partition_provider = name:{provider} does not tell where they are; run this on each of them"
            yield Answer(node="other nodes", problem=problem)
        return
    try:
        with leases.opened(settings) as opened:
            overview = leases.overview(opened)
    except StorageError as error:
        yield Answer(node="other nodes", problem=str(error))
        return
    for member in overview.nodes():
        if member.node == container.node_name:
            continue
        problem = _obstacle(member, overview.state_of(member))
        yield Answer(node=member.node, problem=problem) if problem else member


def _obstacle(member: Member, state: str) -> str:
    """Return why a node cannot be asked; empty if it can."""
    if state == DEAD:
        return "it is dead"
    if not member.http:
        return "it has no [sensorcontainer] http, or is of an older version"
    if member.host != socket.gethostname() and _is_loopback(urlsplit(f"//{member.http}").hostname or ""):
        return f"its [sensorcontainer] http is {member.http}, which only {member.host} reaches"
    return ""


def _asked(settings: Settings, member: Member, path: str, parameters: Sequence[tuple[str, str]]) -> Answer:
    token = settings.container.http_token
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    place = f"http://{member.http}"
    try:
        address = urlsplit(place)
        connection = HTTPConnection(address.hostname or "", address.port, timeout=NODE_TIMEOUT)
        with closing(connection):
            connection.request("GET", f"{path}?{urlencode(parameters)}", headers=headers)
            response = connection.getresponse()
            body = response.read(ANSWER_LIMIT)
        if response.status == 404 and body.startswith(NONE):
            return Answer(node=member.node)
        if response.status == 401:
            problem = "it refuses this token: both need the same [sensorcontainer] http_token"
        elif response.status != 200:
            problem = f"HTTP {response.status}: {body[:300].decode(errors='replace').strip()}"
        else:
            return Answer(node=member.node, document=_object(body))
    except (OSError, HTTPException, ValueError) as error:
        problem = f"no answer at {place}: {error or type(error).__name__}"
    return Answer(node=member.node, problem=problem)


def _object(body: bytes) -> Mapping[str, Any]:
    """Return a JSON object. Raises ValueError."""
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError("the answer is no object")
    return document


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
