"""`logger.audit()`, which StackStorm adds to Python's loggers. Here its lines have the level INFO."""

from __future__ import annotations

import logging
from typing import Any


def install() -> None:
    """Add `audit` to all loggers of this process. A second call does nothing."""
    logging.Logger.audit = _audit  # type: ignore[attr-defined]


def _audit(self: logging.Logger, msg: object, *args: object, **options: Any) -> None:
    if self.isEnabledFor(logging.INFO):
        # Report the line of the caller, not of this function.
        options["stacklevel"] = options.get("stacklevel", 1) + 1
        self._log(logging.INFO, msg, args, **options)
