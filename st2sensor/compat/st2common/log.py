"""StackStorm's name for logging."""

from logging import getLogger

__all__ = ["getLogger"]
