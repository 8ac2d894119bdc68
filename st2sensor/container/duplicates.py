"""Finds other containers that run the same sensors of the same database, and warns in the logs of both.

A container introduces itself on the broker when it starts, and when it runs further sensors. Every other container that
runs some of them answers. So nothing is written to the database, nothing is repeated, and a container that has ended
cannot be mistaken for one that runs.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from st2sensor.container.lifetime import Lifetime
from st2sensor.container.targets import Targets
from st2sensor.system.event_loop import Tasks
from st2sensor.transport.base import Message

LOG = logging.getLogger("st2sensor.container")

HEADER = "st2sensor-container"
"""Header with the introduction as JSON."""

MARK_DIGITS = 12
"""Hexadecimal digits that stand for a sensor in a message."""

MAX_MARKS = 2000
"""Maximum number of sensors in a message: its headers must fit into one AMQP frame. The lowest marks are sent, so that
two containers that run the same sensors send the same marks."""

MAX_LENGTH = 300
"""Maximum number of characters of each text in a message."""

MAX_CHECKS = 100
"""Maximum number of messages that are checked at the same time; others are ignored."""

MAX_WARNED = 100_000
"""Maximum number of pairs of sensor and container that are remembered as warned about."""

NAMED = 3
"""Maximum number of sensors that a warning names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """A container as it introduces itself to others, and the sensors that it runs.

    :param container: unique for each run of a container.
    :param process: its process id.
    :param marks: digests of the sensors' references and ids. An id is unique in a database, and differs in another.
    :param answers: the container whose introduction it answers; empty if it answers none.
    """

    container: str
    node: str
    host: str
    process: int
    state_dir: str
    marks: tuple[str, ...] = ()
    answers: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The headers of its message."""
        return {HEADER: json.dumps(asdict(self))}


def me(node: str, state_dir: Path) -> Introduction:
    """Return the introduction of this process, without sensors."""
    return Introduction(
        container=uuid.uuid4().hex,
        node=node[:MAX_LENGTH],
        host=socket.gethostname(),
        process=os.getpid(),
        state_dir=str(state_dir.absolute())[:MAX_LENGTH],
    )


class Duplicates:
    """For the loop's thread.

    :param me: this container, without sensors.
    :param introduces: whether this container introduces itself. One that shares sensors only answers, because leases
        decide between those that share.
    :param refresh: reads storage now.
    :param introduce: publishes headers for other containers, again after each reconnect.
    :param answer: publishes headers once.
    """

    def __init__(
        self,
        me: Introduction,
        targets: Targets,
        lifetime: Lifetime,
        *,
        introduces: bool,
        refresh: Callable[[], Awaitable[None]],
        introduce: Callable[[Mapping[str, str]], None],
        answer: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._me = me
        self._targets = targets
        self._lifetime = lifetime
        self._introduces = introduces
        self._refresh = refresh
        self._send_introduction = introduce
        self._send_answer = answer
        self._introduced: set[str] = set()
        """The sensors that other containers have been told of."""
        self._warned: set[tuple[str, str]] = set()
        self._tasks = Tasks()
        targets.listen(lambda _: self._introduce())

    def hear(self, message: Message) -> None:
        """Check a message of another container. Does not wait."""
        other = _read(message.headers.get(HEADER))
        if other is None or other.container == self._me.container or self._is_alone_beside(other):
            return
        if other.answers not in ("", self._me.container) or len(self._tasks) >= MAX_CHECKS:
            return
        if self._common(other):
            self._tasks.start(self._check(other))

    def _introduce(self) -> None:
        if self._introduces and not self._targets.desired.keys() <= self._introduced:
            self._introduced = set(self._targets.desired)
            self._send_introduction(replace(self._me, marks=tuple(sorted(self._marks())[:MAX_MARKS])).headers)

    async def _check(self, other: Introduction) -> None:
        # A sensor may have just moved there, and this container may not have learned of it yet.
        await self._refresh()
        common = self._common(other)
        if not common or self._lifetime.is_stopping:
            return
        if not other.answers:
            marks = tuple(sorted(common)[:MAX_MARKS])
            self._send_answer(replace(self._me, marks=marks, answers=other.container).headers)
        self._warn(other, sorted(common.values()))

    def _warn(self, other: Introduction, refs: list[str]) -> None:
        new = [ref for ref in refs if (ref, other.container) not in self._warned]
        if not new:
            return
        if len(self._warned) >= MAX_WARNED:
            self._warned.clear()
        self._warned.update((ref, other.container) for ref in new)
        more = f" and {len(new) - NAMED} more" if len(new) > NAMED else ""
        LOG.warning(
            "another container runs the same sensors of the same database, so everything happens twice: %s%s; it is "
            "process %d on %s, node %s, with state_dir %s; stop one of the two, or let them share the sensors with "
            "[sensorcontainer] partition_provider = name:shared",
            *(", ".join(new[:NAMED]), more, other.process, other.host, other.node, other.state_dir),
        )

    def _marks(self) -> dict[str, str]:
        """Return the sensors that run here, by their marks."""
        snapshot = self._targets.snapshot
        known = {} if snapshot is None else snapshot.sensors
        found = ((ref, known.get(ref)) for ref in self._targets.desired)
        return {_mark(ref, sensor.id): ref for ref, sensor in found if sensor is not None and sensor.id}

    def _common(self, other: Introduction) -> dict[str, str]:
        """Return the sensors that also run in another container, by their marks."""
        marks = set(other.marks)
        return {mark: ref for mark, ref in self._marks().items() if mark in marks}

    def _is_alone_beside(self, other: Introduction) -> bool:
        """Return whether one of the two runs a sensor alone in a folder of the other, which `Neighbours` reports."""
        here, there = Path(self._me.state_dir), Path(other.state_dir)
        return self._me.host == other.host and (here.parent == there or there.parent == here)


def _mark(ref: str, identifier: str) -> str:
    return hashlib.sha256(f"{ref} {identifier}".encode()).hexdigest()[:MARK_DIGITS]


def _read(header: object) -> Introduction | None:
    """Return the introduction in a header; None if it is not one. Any program may publish on the exchange."""
    try:
        fields: Any = json.loads(header) if isinstance(header, str) else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    texts: dict[str, Any] = {name: fields.get(name) for name in ("container", "node", "host", "state_dir", "answers")}
    marks, process = fields.get("marks"), fields.get("process")
    if not all(isinstance(text, str) and len(text) <= MAX_LENGTH for text in texts.values()):
        return None
    if not isinstance(process, int) or not isinstance(marks, list) or not all(isinstance(mark, str) for mark in marks):
        return None
    return Introduction(**texts, process=process, marks=tuple(marks[:MAX_MARKS]))
