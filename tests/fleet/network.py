"""Containers and servers in network namespaces of their own, joined by links that can be cut. Needs root and Linux."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations, product
from typing import Self

SERVERS = ("db", "mq")
OTHERS = "others"
ROOT = "root"
"""The place of the tests themselves, which can reach only the servers."""

# The last octets of the servers' addresses: the route to each block leads over the link to its server.
BLOCKS = {"db": 240, "mq": 248}
BLOCK_BITS = 29


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    place: str
    device: str
    address: str
    hardware: str


def refused() -> bool:
    """Return whether the machine itself forbids namespaces, so that installing a package would not help."""
    return _may_try() and not available()


def available() -> bool:
    """Return whether namespaces can be made here."""
    if not _may_try():
        return False
    probe = f"st2s{os.getpid()}-probe"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode == 0
    if made:
        _ip("netns", "del", probe)
    return made


def _may_try() -> bool:
    return os.geteuid() == 0 and shutil.which("ip") is not None


class Network:
    """A context manager: a namespace for each server and each container, with a link between every two that talk.

    Cut links silently lose everything that is sent.
    """

    def __init__(self, containers: Sequence[str]) -> None:
        pid = os.getpid()
        self.containers = tuple(containers)
        self._prefix = f"st2s{pid}-"
        # By the pid of the tests' process, so that other processes use other networks.
        self._network = f"10.{pid >> 8 & 255}.{pid & 255}"
        self._links = [*product((ROOT, *self.containers), SERVERS), *combinations(self.containers, 2)]

    def __enter__(self) -> Self:
        try:
            for place in (*SERVERS, *self.containers):
                _ip("netns", "add", self._prefix + place)
                _ip(*self._at(place), "link", "set", "lo", "up")
            for number, link in enumerate(self._links):
                self._join(number, *link)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def addresses(self, server: str, count: int) -> list[str]:
        """Give a server a number of addresses, at most six, to listen on; all containers have a route to them."""
        addresses = [f"{self._network}.{BLOCKS[server] + 1 + number}" for number in range(count)]
        for address in addresses:
            _ip(*self._at(server), "addr", "add", f"{address}/32", "dev", "lo")
        return addresses

    def within(self, place: str) -> list[str]:
        """Return the prefix of a command that makes it run in a namespace, as the same process."""
        # Not with `ip netns exec`, which would hide control groups.
        return ["nsenter", f"--net=/run/netns/{self._prefix}{place}", "--"]

    def cut(self, container: str, *targets: str) -> None:
        """:param targets: `db`, `mq`, or `others`: all other containers."""
        for target in targets:
            self._set(container, target, "down")

    def heal(self, container: str, *targets: str) -> None:
        for target in targets:
            self._set(container, target, "up")

    def _set(self, container: str, target: str, state: str) -> None:
        others = [other for other in self.containers if other != container]
        for place in others if target == OTHERS else [target]:
            # Set the far end down: with the near end, the container would lose its routes, and notice.
            _ip(*self._at(place), "link", "set", self._device(container, place), state)

    def _join(self, number: int, near: str, far: str) -> None:
        ends = [self._end(4 * number + 1, near, far), self._end(4 * number + 2, far, near)]
        inside = [] if near == ROOT else ["netns", self._prefix + near]
        first, second = ([end.device, "address", end.hardware] for end in ends)
        there = ["netns", self._prefix + far]
        _ip("link", "add", *first, *inside, "type", "veth", "peer", "name", *second, *there)
        for end, peer in (ends, reversed(ends)):
            _ip(*self._at(end.place), "addr", "add", f"{end.address}/30", "dev", end.device)
            _ip(*self._at(end.place), "link", "set", end.device, "up")
            # The address is permanent: a failed lookup of the peer would become an error after three seconds.
            neighbour = [peer.address, "lladdr", peer.hardware, "dev", end.device, "nud", "permanent"]
            _ip(*self._at(end.place), "neigh", "replace", *neighbour)
        if far in BLOCKS:
            block = f"{self._network}.{BLOCKS[far]}/{BLOCK_BITS}"
            _ip(*self._at(near), "route", "add", block, "via", ends[1].address)

    def _end(self, octet: int, place: str, other: str) -> _End:
        address = f"{self._network}.{octet}"
        return _End(
            place=place,
            device=self._device(other, place),
            address=address,
            # A locally administered address of one device.
            hardware="02:00:" + ":".join(f"{int(part):02x}" for part in address.split(".")),
        )

    def _at(self, place: str) -> list[str]:
        return [] if place == ROOT else ["-n", self._prefix + place]

    def _device(self, other: str, place: str) -> str:
        """Return the device through which one place reaches another; other programs share the tests' own namespace."""
        return self._prefix + other if place == ROOT else other

    def _remove(self) -> None:
        for server in SERVERS:
            with suppress(subprocess.CalledProcessError):
                _ip("link", "del", self._device(server, ROOT))
        made = _ip("netns", "list").split()
        for name in (name for name in made if name.startswith(self._prefix)):
            for pid in _ip("netns", "pids", name).split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            _ip("netns", "del", name)


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True)
    return done.stdout
