"""A pack's configuration with an instance's over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from st2sensor.packs.configuration.source import Layer, Source, merged
from st2sensor.packs.yaml_files import read


@pytest.mark.parametrize(
    ("below", "over", "result"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({"a": {"b": 1, "c": {"d": 2}}}, {"a": {"c": {"e": 3}}}, {"a": {"b": 1, "c": {"d": 2, "e": 3}}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": 1}, {"a": {"b": 2}}, {"a": {"b": 2}}),
    ],
)
def test_mappings_merge_and_all_else_replaces(below: dict[str, Any], over: dict[str, Any], result: Any) -> None:
    before = repr(below)
    assert merged(below, over) == result
    assert repr(below) == before


def test_an_error_names_the_file_that_has_the_value(tmp_path: Path) -> None:
    pack, listed = tmp_path / "p.yaml", tmp_path / "instances.yaml"
    pack.write_text("a: 1\nb: {c: 2, d: 3}\n")
    listed.write_text("p.S:\n  x:\n    config:\n      b: {c: 4}\n")
    file = read(listed)
    layer = Layer(path=listed, place=("p.S", "x", "config"), values={"b": {"c": 4}}, file=file)
    source = Source(file=read(pack), path=pack, schema=None, layer=layer)
    assert source.values == {"a": 1, "b": {"c": 4, "d": 3}}
    places = [source.error("odd", place) for place in (("a",), ("b", "d"), ("b", "c"), ("lacking",), ())]
    assert [(Path(error.file).name, error.line) for error in places] == [
        ("p.yaml", 1),
        ("p.yaml", 2),
        ("instances.yaml", 4),
        ("instances.yaml", 3),
        ("instances.yaml", 3),
    ]
