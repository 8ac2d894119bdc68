"""Free ports on loopback."""

from __future__ import annotations

import random
import socket

RANGE = range(20000, 32000)
"""Ports below those that the kernel gives to outgoing connections, which could take a port before it is used."""


def free_port() -> int:
    """Return a port that nothing listens on now."""
    while True:
        port = random.choice(RANGE)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
