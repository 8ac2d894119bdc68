"""Options become fields of settings by their names."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from st2sensor.config.sections import section


@dataclass(frozen=True, kw_only=True)
class Colours:
    names: tuple[str, ...]
    most: int = 1
    shown: bool = False


def test_each_field_has_the_value_of_its_option_unless_it_is_given() -> None:
    group: Any = SimpleNamespace(names=["red", "blue"], most=7, shown=False, other="unused")
    assert section(Colours, group, shown=True) == Colours(names=("red", "blue"), most=7, shown=True)


def test_a_field_without_an_option_is_an_error_and_not_its_default() -> None:
    group: Any = SimpleNamespace(names=[], shown=True)
    with pytest.raises(AttributeError, match="most"):
        section(Colours, group)
