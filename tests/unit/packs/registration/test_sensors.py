"""The steps that register sensors and trigger types, without running any code of a pack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from st2sensor.errors import ContentError, StorageError
from st2sensor.models import Entity, Pack, Refusal, Registration, SensorType, Trigger, TriggerType
from st2sensor.packs.bundled import BUNDLED
from st2sensor.packs.code.location import Code
from st2sensor.packs.configuration.templates import Templates
from st2sensor.packs.registration import sensor_checks
from st2sensor.packs.registration.announcements import Announcements
from st2sensor.packs.registration.context import Context
from st2sensor.packs.registration.outcome import Outcome, Result
from st2sensor.packs.registration.sensors import Sensors
from st2sensor.packs.registration.trigger_types import TriggerTypes
from st2sensor.settings import Content
from st2sensor.storage.sqlite.storage import SqliteStorage
from st2sensor.transport.topology import Topology


class Announced(Announcements):
    """Keeps the announcements. :ivar events: by reference."""

    def __init__(self) -> None:
        super().__init__(Topology("st2"))
        self.events: dict[str, str] = {}

    def add(self, entity: SensorType | Trigger, event: str, storage: object) -> None:  # noqa: ARG002
        self.events[entity.ref] = event

    def add_type(self, trigger_type: TriggerType, event: str, storage: object) -> None:  # noqa: ARG002
        self.events[f"type {trigger_type.ref}"] = event


class Refusing(SqliteStorage):
    """A database that refuses entities of one name."""

    def put(self, entity: Entity) -> None:
        if entity.name == "Refused":
            raise StorageError("it is too odd")
        super().put(entity)


@dataclass
class Host:
    """A host with one pack, whose sensors load unless they are named in `broken`."""

    folder: Path
    storage: SqliteStorage
    broken: dict[str, str] = field(default_factory=dict)
    checked: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    events: Mapping[str, str] = field(default_factory=dict)

    @property
    def pack(self) -> Pack:
        return Pack(ref="p", path=self.folder / "packs" / "p")

    def write(self, name: str, text: str) -> None:
        """Write a sensor's metadata; every sensor has a code file."""
        (self.pack.path / "sensors").mkdir(parents=True, exist_ok=True)
        (self.pack.path / "sensors" / "s.py").touch()
        (self.pack.path / "sensors" / name).write_text(f"entry_point: s.py\n{text}")

    def check(self, code: Code, *, metadata_file: str) -> None:
        self.checked.append(code.class_name)
        if code.class_name in self.broken:
            raise ContentError(self.broken[code.class_name], file=metadata_file)

    def register(self, *, prune: bool = False, packs: list[Pack] | None = None) -> dict[str, Outcome]:
        content = Content(
            pack_paths=(self.folder / "packs",),
            configs_path=self.folder / "configs",
            virtualenvs_path=self.folder / "virtualenvs",
            overrides_path=self.folder / "overrides",
        )
        announced = Announced()
        context = Context(
            storage=self.storage,
            content=content,
            templates=Templates(lambda *_: None, lambda _, text: text, "stanley"),
            announcements=announced,
            packs=[*([self.pack] if packs is None else packs), BUNDLED],
            is_whole=True,
            progress=lambda *_: None,
            warnings=self.warnings,
        )
        self.warnings.clear()
        self.checked.clear()
        types = TriggerTypes(context)
        outcomes = list(Sensors(context, types).register(prune))
        context.refusals.settle(self.storage, ["sensors"], None if prune else context.present())
        self.events = announced.events
        return {outcome.ref: outcome for outcome in outcomes}

    def registered(self) -> list[str]:
        return [sensor.ref for sensor in self.storage.all(SensorType)]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    with closing(Refusing(tmp_path / "st2.db")) as storage:
        storage.prepare()
        made = Host(tmp_path, storage)
        monkeypatch.setattr(sensor_checks, "check_code", made.check)
        yield made


def results(outcomes: Mapping[str, Outcome]) -> dict[str, Result]:
    return {ref: outcome.result for ref, outcome in outcomes.items()}


def test_a_sensor_and_its_types_are_registered_once(host: Host) -> None:
    host.write("s.yaml", "class_name: S\ntrigger_types: [{name: a}]\n")
    assert results(host.register()) == {"p.a": Result.CREATED, "p.S": Result.CREATED}
    assert host.events == {"type p.a": "create", "p.a": "create", "p.S": "create"}
    # As StackStorm stores a type without one.
    assert [item.description for item in host.storage.all(TriggerType)] == [""]
    assert host.checked == ["S"]

    assert results(host.register()) == {"p.a": Result.UNCHANGED, "p.S": Result.UNCHANGED}
    assert host.events == {}
    # Code that passed does not run again.
    assert host.checked == []


@pytest.mark.parametrize(
    "empty", [{}, {"description": ""}, {"tags": (), "payload_schema": {}, "parameters_schema": {}}]
)
def test_a_type_that_stackstorm_has_stored_with_or_without_its_empty_fields_is_unchanged(
    host: Host, empty: dict[str, Any]
) -> None:
    stored = TriggerType(pack="p", name="a", metadata_file="sensors/s.yaml", **empty)
    host.storage.put(stored)
    host.storage.put(Trigger(pack="p", name="a", type="p.a"))
    host.write("s.yaml", "class_name: S\ntrigger_types: [{name: a}]\n")
    assert results(host.register())["p.a"] is Result.UNCHANGED
    assert set(host.events) == {"p.S"}
    assert host.storage.get(TriggerType, "p.a") == stored

    host.write("t.yaml", "class_name: T\ntrigger_types: [{name: a, payload_schema: {}}]\n")
    assert results(host.register())["p.a"] is Result.UNCHANGED
    host.write("s.yaml", "class_name: S\ntrigger_types: [{name: a, description: new}]\n")
    assert results(host.register())["p.a"] is Result.UNCHANGED
    assert host.events["type p.a"] == "update"


def test_a_sensor_that_broke_keeps_its_last_registration(host: Host) -> None:
    host.write("s.yaml", "class_name: S\n")
    host.register()
    before = host.storage.get(Registration, "p.S")
    assert before is not None
    (host.pack.path / "sensors" / "s.py").write_text("broken\n")
    host.broken["S"] = "it does not load"
    assert results(host.register()) == {"p.S": Result.FAILED}
    after = host.storage.get(Registration, "p.S")
    assert after is not None
    assert (after.digest, after.enabled) == (before.digest, before.enabled)
    assert after.error is not None
    assert after.error.endswith("it does not load")
    assert host.registered() == ["p.S"]


def test_a_file_that_does_not_parse_keeps_its_sensor_and_says_why(host: Host) -> None:
    host.write("s.yaml", "class_name: S\n")
    host.register()
    host.write("s.yaml", "class_name: [\n")
    assert results(host.register()) == {"p.S": Result.FAILED}
    known = host.storage.get(Registration, "p.S")
    assert known is not None
    assert known.error is not None
    assert "s.yaml" in known.error
    assert host.registered() == ["p.S"]


def test_a_sensor_whose_file_is_gone_is_unregistered(host: Host) -> None:
    host.write("s.yaml", "class_name: S\n")
    host.write("t.yaml", "class_name: T\n")
    host.register()
    (host.pack.path / "sensors" / "s.yaml").unlink()
    assert results(host.register()) == {"p.S": Result.REMOVED, "p.T": Result.UNCHANGED}
    assert host.events == {"p.S": "delete"}
    assert host.storage.get(Registration, "p.S") is None


def test_a_pack_on_another_host_is_unregistered_only_with_prune_and_its_trigger_types_stay(host: Host) -> None:
    host.write("s.yaml", "class_name: S\ntrigger_types:\n  - name: a\n")
    host.register()
    assert host.register(packs=[]) == {}
    assert host.registered() == ["p.S"]
    assert results(host.register(packs=[], prune=True)) == {"p.S": Result.REMOVED}
    assert host.storage.get(TriggerType, "p.a") is not None


def test_a_python_that_the_pack_does_not_list_is_warned_of(host: Host) -> None:
    host.write("s.yaml", "class_name: S\n")
    (host.pack.path / "pack.yaml").write_text("name: p\npython_versions: ['2']\n")
    assert results(host.register()) == {"p.S": Result.CREATED}
    (warning,) = host.warnings
    assert "pack.yaml:2: python_versions: the pack runs on Python 2" in warning


def test_a_sensor_that_stackstorm_has_registered_by_its_packs_folder_is_told_to_run_twice(host: Host) -> None:
    host.write("s.yaml", "class_name: S\n")
    host.write("t.yaml", "class_name: T\n")
    packs = [Pack(ref="q", path=host.pack.path)]
    host.register(packs=packs)
    assert host.warnings == []
    here = f"file://{host.pack.path}/sensors/s.py"
    stackstorms = SensorType(pack="p", name="S", artifact_uri=here, entry_point="sensors.s.S")
    host.storage.put(stackstorms)
    host.storage.put(replace(stackstorms, name="T", entry_point="sensors.s.T"))
    host.register(packs=packs)
    (warning,) = host.warnings
    assert warning.startswith("p.S and q.S are one sensor, which runs twice: ")
    assert warning.endswith(f"{host.pack.path}; name the folder q, then run st2ctl reload --prune")
    for name in "ST":
        host.storage.put(replace(stackstorms, name=name, enabled=False))
    host.register(packs=packs)
    assert host.warnings == []


def test_a_second_sensor_of_one_name_fails_alone(host: Host) -> None:
    host.write("a.yaml", "class_name: S\n")
    host.write("b.yaml", "class_name: S\n")
    host.write("c.yaml", "class_name: T\n")
    outcomes = list(host.register().values())
    assert [outcome.ref for outcome in outcomes if outcome.result is Result.CREATED] == ["p.S", "p.T"]
    assert host.registered() == ["p.S", "p.T"]


def test_what_the_database_refuses_fails_alone(host: Host) -> None:
    host.write("a.yaml", "class_name: Refused\n")
    host.write("b.yaml", "class_name: S\n")
    outcomes = host.register()
    assert results(outcomes) == {"p.Refused": Result.FAILED, "p.S": Result.CREATED}
    assert "its content cannot be stored: it is too odd" in outcomes["p.Refused"].message


def test_an_operators_choice_outlives_a_reload(host: Host) -> None:
    host.write("s.yaml", "class_name: S\n")
    host.register()
    known = host.storage.get(SensorType, "p.S")
    assert known is not None
    host.storage.put(replace(known, enabled=False))
    assert results(host.register()) == {"p.S": Result.UNCHANGED}
    assert host.warnings == ["sensor p.S stays disabled, as an operator has set it"]
    assert host.storage.get(SensorType, "p.S") == replace(known, enabled=False)


def test_two_declarations_of_a_type_must_have_one_schema(host: Host) -> None:
    host.write("a.yaml", "class_name: S\ntrigger_types: [{name: a, payload_schema: {type: object}}]\n")
    host.write("b.yaml", "class_name: T\ntrigger_types: [{name: a}]\n")
    outcomes = host.register()
    assert outcomes["p.a"].result is Result.FAILED
    assert "trigger type p.a has another schema in" in outcomes["p.a"].message
    # The first declaration and both sensors are registered nevertheless.
    assert host.storage.get(TriggerType, "p.a") is not None
    assert host.registered() == ["p.S", "p.T"]
    assert [refusal.ref for refusal in host.storage.all(Refusal)] == ["p.a"]


def test_a_broken_configuration_is_read_once_and_stops_every_sensor_of_its_pack(host: Host) -> None:
    host.write("s.yaml", "class_name: S\n")
    host.write("t.yaml", "class_name: T\n")
    (host.pack.path / "config.schema.yaml").write_text("n: {type: integer}\n")
    (host.folder / "configs").mkdir()
    (host.folder / "configs" / "p.yaml").write_text("n: many\n")
    outcomes = host.register()
    assert results(outcomes) == {"p.S": Result.FAILED, "p.T": Result.FAILED}
    assert outcomes["p.S"].message == outcomes["p.T"].message
    assert host.checked == []
