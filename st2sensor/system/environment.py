"""Which variables of its environment a process hands on to the code of packs.

Those that configure the container stay with it: they may hold passwords.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

PRIVATE = ("NOTIFY_SOCKET", "ST2_*", "ST2SENSOR_*")
"""Patterns of the names of variables that are the container's own business."""


def handed_on(environment: Mapping[str, str], private: Iterable[str] = ()) -> dict[str, str]:
    """:param private: further patterns of names that stay here."""
    patterns = (*PRIVATE, *private)
    return {
        name: value
        for name, value in environment.items()
        if not any(fnmatchcase(name, pattern) for pattern in patterns)
    }
