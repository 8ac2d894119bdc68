"""Copies options into the dataclasses of settings."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

from oslo_config import cfg

S = TypeVar("S")


def section(kind: type[S], group: cfg.ConfigOpts.GroupAttr, **given: Any) -> S:
    """Return the settings of a section: each field has the value of the option of its name, lists as tuples.

    :param kind: a dataclass.
    :param given: fields that are not simply options.
    """
    names = [field.name for field in fields(kind) if field.name not in given]  # type: ignore[arg-type]
    return kind(**{name: _frozen(getattr(group, name)) for name in names}, **given)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
