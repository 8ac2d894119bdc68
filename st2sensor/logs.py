"""Where log lines go and what they look like."""

from __future__ import annotations

import logging
import sys

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def configure(*, debug: bool = False, quiet: bool = False) -> None:
    """Log to stderr: everything with debug, warnings only when quiet, else one line per state change."""
    level = logging.DEBUG if debug else logging.WARNING if quiet else logging.INFO
    logging.basicConfig(stream=sys.stderr, level=level, format=FORMAT, force=True)
    for library in ("amqp", "kombu", "pymongo", "asyncio"):
        logging.getLogger(library).setLevel(logging.INFO if debug else logging.WARNING)
