"""StackStorm's name for logging."""

import logging
from logging import getLogger

from st2sensor.wrapper import audit

__all__ = ["getLogger", "logging"]

audit.install()
