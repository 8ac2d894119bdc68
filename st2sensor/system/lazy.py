"""Imports objects by name when they are needed. No other module imports while a program runs."""

from __future__ import annotations

import importlib
from typing import Any


def resolve(target: str) -> Any:
    """Import a module, and return one of its attributes.

    :param target: `package.module:attribute`, written as one literal, so that tests/test_layers.py sees it.
    """
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
