"""Selects the environment variables that the code of packs gets.

Variables that configure the container are withheld, because they may hold passwords.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

PRIVATE = ("NOTIFY_SOCKET", "ST2_*", "ST2SENSOR_*")
"""Patterns for the names of variables that only the container gets."""


def handed_on(environment: Mapping[str, str], private: Iterable[str] = ()) -> dict[str, str]:
    """Return the variables that the code of packs gets.

    :param private: further patterns for names that are withheld.
    """
    patterns = (*PRIVATE, *private)
    return {
        name: value
        for name, value in environment.items()
        if not any(fnmatchcase(name, pattern) for pattern in patterns)
    }
