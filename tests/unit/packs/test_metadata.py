"""Metadata with empty or meaningless values, read as StackStorm reads it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from st2sensor.container.desired.snapshot import Snapshot
from st2sensor.errors import ContentError
from st2sensor.models import Pack, Registration, SensorType
from st2sensor.packs import metadata
from st2sensor.packs.yaml_files import repeated
from st2sensor.storage.documents import COLLECTIONS, changes
from tests.support.workspace import ROOT


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    (tmp_path / "sensors").mkdir()
    (tmp_path / "sensors" / "s.py").touch()
    return Pack(ref="p", path=tmp_path)


def read(pack: Pack, more: str) -> SensorType:
    path = pack.path / "sensors" / "s.yaml"
    path.write_text(f"class_name: S\nentry_point: s.py\n{more}\n")
    return metadata.sensor(pack, path).sensor


@pytest.mark.parametrize(
    ("more", "interval", "is_stored"),
    [
        ("", None, False),
        ("poll_interval:", None, False),
        ("poll_interval: null", None, False),
        ("poll_interval: 0", 0, True),
        ("poll_interval: 5", 5, True),
    ],
)
def test_a_poll_interval_of_nothing_leaves_it_to_the_class(
    more: str, interval: int | None, is_stored: bool, pack: Pack
) -> None:
    sensor = read(pack, more)
    assert sensor.poll_interval == interval
    collection = COLLECTIONS[SensorType]
    document, _ = changes(collection.to_document(sensor))
    assert ("poll_interval" in document) is is_stored
    assert collection.from_document({"_id": 1, **document}) == sensor


@pytest.mark.parametrize(
    ("more", "enabled"), [("", True), ("enabled:", True), ("enabled: true", True), ("enabled: false", False)]
)
def test_a_sensor_is_enabled_unless_it_is_said_not_to_be(more: str, enabled: bool, pack: Pack) -> None:
    assert read(pack, more).enabled is enabled


def test_keys_that_mean_nothing_are_warned_of_with_their_line_wherever_they_are(pack: Pack) -> None:
    path = pack.path / "sensors" / "s.yaml"
    event = "name: e\npack: p\ntags: []\npayload_schema: {type: object}\n"
    path.write_text(
        "class_name: S\nentry_point: s.py\npool_interval: 5\n"
        "trigger_types:\n- name: e\n  payload_info: [a]\n- name: f\n  payload: {}\n"
    )
    assert [str(warning).removeprefix(str(path)) for warning in metadata.sensor(pack, path).warnings] == [
        ":3: pool_interval is not a key of a sensor and has no effect",
        ":6: payload_info is not a key of a trigger type and has no effect",
        ":8: payload is not a key of a trigger type and has no effect",
    ]
    path.write_text(event)
    assert metadata.trigger_type(pack, path).warnings == ()
    path.write_text(f"{event}payload_info: [a]\n")
    (warning,) = metadata.trigger_type(pack, path).warnings
    assert str(warning) == f"{path}:5: payload_info is not a key of a trigger type and has no effect"


@pytest.mark.parametrize("more", ["poll_interval: -1", "poll_interval: '5'", "enabled: 'no'", "enabled: 0"])
def test_other_values_are_refused(more: str, pack: Pack) -> None:
    with pytest.raises(ContentError, match="must be"):
        read(pack, more)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 1\nb: 2\n", []),
        ("a: 1\na: 2\na: 3\n", [(2, "a is already on line 1"), (3, "a is already on line 2")]),
        ("x:\n  - b: {c: 1}\n    b: {c: 1, c: 2}\n", [(3, "b is already on line 2"), (3, "c is already on line 3")]),
        ("'1': a\n1: b\n", [(2, "1 is already on line 1")]),
        ("base: &b {a: 1}\nx: {<<: *b, <<: *b, a: 2}\ny: *b\n", []),
        ("{", []),
        ("", []),
        ("a: &a [*a]\n", []),
    ],
)
def test_keys_that_stand_twice_are_found(text: str, found: list[tuple[int, str]], tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(text)
    told = sorted((error.line or 0, error.message.partition(", ")[0]) for error in repeated(path))
    assert told == found
    assert repeated(tmp_path / "missing.yaml") == []


def test_only_what_was_never_accepted_is_listed_without_a_document() -> None:
    refused = Registration(pack="p", name="Refused", metadata_file="r.yaml", error="no")
    others = [
        Registration(pack="p", name="Deleted", metadata_file="d.yaml", digest="1"),
        Registration(pack="p", name="DeletedThenBroken", metadata_file="b.yaml", digest="1", error="no"),
    ]
    known = Snapshot(registrations={item.ref: item for item in (refused, *others)})
    assert known.listed == {"p.Refused"}


def test_commands_read_their_configuration_where_warnings_are_told() -> None:
    """The container logs the warnings, and completion must not print them."""
    own = {"configuration.py", "running.py", "completion.py", "run.py"}
    for path in (ROOT / "st2sensor" / "cli").rglob("*.py"):
        calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert path.name in own or not {"config.load", "config.load_if_any"} & set(calls), path


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ('class_name: "S\\n"', "class_name"),
        (f"class_name: {'S' * 201}", "class_name"),
        (f"entry_point: {'s' * 300}.py", "cannot be used"),
        ('trigger_types: [{name: "a\\nb"}]', "trigger_types.0.name"),
        ('trigger_types: [{name: "a\\e[31m"}]', "trigger_types.0.name"),
        ('trigger_types: [{name: "a\\0"}]', "trigger_types.0.name"),
        (f"trigger_types: [{{name: {'a' * 256}}}]", "trigger_types.0.name"),
        ("poll_interval: 1.0e+300", "poll_interval"),
    ],
)
def test_names_that_no_one_could_read_again_are_refused(more: str, place: str, pack: Pack) -> None:
    with pytest.raises(ContentError, match=place) as caught:
        read(pack, more)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


def test_a_long_message_keeps_its_remedy_and_no_message_steers_a_terminal() -> None:
    error = ContentError("x" * 1_000_000 + "; correct it", file="a\nb\x1b[31m.yaml")
    assert str(error).startswith("a\\nb\\x1b[31m.yaml: xxx")
    assert str(error).endswith("; correct it")
    assert len(str(error)) < 5000
