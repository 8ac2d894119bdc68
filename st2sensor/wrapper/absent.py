"""Says of StackStorm's modules that are not here what to do instead, wherever a pack imports them."""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec
from typing import Any, Optional

import st2sensor
from st2sensor.wrapper import remedy

COMPAT = os.path.join(os.path.dirname(os.path.abspath(st2sensor.__file__)), "compat")
"""The folder of what stands in for StackStorm's packages."""


class Absent:
    """The last of the finders: it is asked for what none of the others has found."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:  # noqa: ARG002
        """Raises ModuleNotFoundError for a module of a package that stands in for StackStorm's."""
        parent = sys.modules.get(name.rpartition(".")[0])
        file = getattr(parent, "__file__", None) or ""
        if not file.startswith(COMPAT + os.sep):
            return None
        raise ModuleNotFoundError(f"No module named {name!r}: {remedy.of_stackstorm(name)}", name=name)


def install() -> None:
    """For this process; again does nothing."""
    if not any(isinstance(finder, Absent) for finder in sys.meta_path):
        sys.meta_path.append(Absent())
