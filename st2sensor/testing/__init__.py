"""Helpers for the tests of packs: docs/testing.md. Standard library only, CPython 3.9, for a pack's own interpreter."""

from st2sensor.testing.case import BaseSensorTestCase
from st2sensor.testing.life import run_polls, running
from st2sensor.testing.memory import Dispatched
from st2sensor.testing.path import use_pack
from st2sensor.testing.service import MemorySensorService
from st2sensor.testing.triggers import add_trigger, remove_trigger, update_trigger

__all__ = [
    "BaseSensorTestCase",
    "Dispatched",
    "MemorySensorService",
    "add_trigger",
    "remove_trigger",
    "run_polls",
    "running",
    "update_trigger",
    "use_pack",
]
