"""Free ports on loopback."""

from __future__ import annotations

import random
import socket

RANGE = range(20000, 32000)
"""Below the ports that the kernel gives to outgoing connections, which could take one between a choice and its use."""


def free_port() -> int:
    """A port that nothing listens on now."""
    while True:
        port = random.choice(RANGE)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
