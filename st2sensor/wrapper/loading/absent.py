"""Parts of StackStorm that are not here: says what to do instead, wherever a pack imports them."""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any, Optional

import st2sensor

COMPAT = os.path.join(os.path.dirname(os.path.abspath(st2sensor.__file__)), "compat")
"""The folder of what stands in for StackStorm's packages."""

STANDS_IN = ("st2common", "st2reactor", "st2tests")
"""Those packages."""

SERVICES = ("st2actions", "st2api", "st2auth", "st2stream")
"""Packages of StackStorm that sensors have no use for."""


class Absent:
    """The last of the finders: it is asked for what none of the others has found."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:  # noqa: ARG002
        """Raises ModuleNotFoundError for a module of a package that stands in for StackStorm's."""
        parent = sys.modules.get(name.rpartition(".")[0])
        if not is_in_compat(getattr(parent, "__file__", None)):
            return None
        raise ModuleNotFoundError(f"No module named {name!r}: {what_to_do(name)}", name=name)


def install() -> None:
    """For this process; again does nothing."""
    if not any(isinstance(finder, Absent) for finder in sys.meta_path):
        sys.meta_path.append(Absent())


def is_absent(name: str) -> bool:
    """Whether a module that cannot be found is one of StackStorm's, which is not installed here itself."""
    top = name.partition(".")[0]
    if top not in STANDS_IN + SERVICES:
        return False
    spec = PathFinder.find_spec(top)
    return spec is None or is_in_compat(spec.origin)


def is_in_compat(file: Optional[str]) -> bool:
    return file is not None and file.startswith(COMPAT + os.sep)


def what_to_do(name: str) -> str:
    """What to do about a name of StackStorm's that is not here.

    :param name: of a module, or of the module that lacks something.
    """
    top = name.partition(".")[0]
    if top in SERVICES:
        return f"{top} is a service of StackStorm, which sensors cannot use; move what needs it into an action"
    if top == "st2tests":
        return "only tests of sensors run here; run those of actions where StackStorm's own st2tests is installed"
    return (
        "st2sensor has only those parts of StackStorm that sensors need; use self.sensor_service to dispatch, log and "
        f"store, or install StackStorm's own {top} into the pack's virtualenv, which comes first"
    )
