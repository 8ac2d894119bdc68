"""Parts of StackStorm that do not exist here. The error of their import says what to do instead."""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any, Optional

import st2sensor

COMPAT = os.path.join(os.path.dirname(os.path.abspath(st2sensor.__file__)), "compat")
"""The folder of the modules that stand in for StackStorm's packages."""

STANDS_IN = ("st2common", "st2reactor", "st2tests")
"""The packages that modules here stand in for."""

SERVICES = ("st2actions", "st2api", "st2auth", "st2stream")
"""Packages of StackStorm that sensors have no use for."""


class Absent:
    """The last finder: Python calls it for modules that no other finder has found."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:  # noqa: ARG002
        """Raises ModuleNotFoundError for a module of a package that stands in for StackStorm's."""
        parent = sys.modules.get(name.rpartition(".")[0])
        if not is_in_compat(getattr(parent, "__file__", None)):
            return None
        raise ModuleNotFoundError(f"No module named {name!r}: {what_to_do(name)}", name=name)


def install() -> None:
    """Add the finder to this process. A second call does nothing."""
    if not any(isinstance(finder, Absent) for finder in sys.meta_path):
        sys.meta_path.append(Absent())


def is_absent(name: str) -> bool:
    """Return whether a missing module is one of StackStorm's, and StackStorm itself is not installed."""
    top = name.partition(".")[0]
    if top not in STANDS_IN + SERVICES:
        return False
    spec = PathFinder.find_spec(top)
    return spec is None or is_in_compat(spec.origin)


def is_in_compat(file: Optional[str]) -> bool:
    return file is not None and file.startswith(COMPAT + os.sep)


def what_to_do(name: str) -> str:
    """Return what to do about a name from StackStorm that does not exist here.

    :param name: the missing module, or the module that lacks something.
    """
    top = name.partition(".")[0]
    if top in SERVICES:
        return f"{top} is a service of StackStorm, which sensors cannot use; move the code that needs it into an action"
    if top == "st2tests":
        return "only tests of sensors run here; run tests of actions where StackStorm's own st2tests is installed"
    return (
        "st2sensor has only the parts of StackStorm that sensors need; use self.sensor_service to dispatch, log and "
        f"store, or install StackStorm's own {top} into the pack's virtualenv, which takes precedence"
    )
