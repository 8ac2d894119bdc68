"""Loads what is named by text when it is needed: the one place that imports while a program runs."""

from __future__ import annotations

import importlib
from typing import Any


def resolve(target: str) -> Any:
    """What a module calls so.

    :param target: `package.module:attribute`, written out as one literal, so that the test of the layers sees it.
    """
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
