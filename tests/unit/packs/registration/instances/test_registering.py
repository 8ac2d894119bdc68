"""Registers instances, without any code of a pack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from st2sensor.errors import StorageError
from st2sensor.models import Entity, Instance, Pack, SensorType, Trigger
from st2sensor.packs.configuration.templates import Templates
from st2sensor.packs.registration.announcements import Announcements
from st2sensor.packs.registration.context import Context
from st2sensor.packs.registration.instances.registering import Instances
from st2sensor.packs.registration.outcome import Result
from st2sensor.settings import Content
from st2sensor.storage.sqlite.storage import SqliteStorage
from st2sensor.transport.topology import Topology

SENSOR = SensorType(pack="p", name="S", artifact_uri="file:///p/sensors/s.py", entry_point="sensors.s.S")


class Announced(Announcements):
    """Keeps the announcements."""

    def __init__(self) -> None:
        super().__init__(Topology("st2"))
        self.events: list[tuple[str, str]] = []

    def add(self, entity: SensorType | Trigger, event: str, storage: object) -> None:  # noqa: ARG002
        self.events.append((entity.ref, event))


class Refusing(SqliteStorage):
    """Refuses instances named `refused`, and counts how often it is written to."""

    writes = 0

    def put_all(self, entities: Sequence[Entity]) -> None:
        self.writes += 1
        if any(entity.name.endswith("refused") for entity in entities):
            raise StorageError("it is too odd")
        super().put_all(entities)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Refusing]:
    with closing(Refusing(tmp_path / "st2.db")) as opened:
        opened.prepare()
        opened.put(SENSOR)
        yield opened


def register(folder: Path, storage: Refusing, names: list[str]) -> tuple[dict[str, Result], list[tuple[str, str]]]:
    """Register instances with these names. Return the results, and what is announced."""
    (folder / "instances").mkdir(exist_ok=True)
    lines = [f"  {name}: {{config: {{place: {name}}}}}" for name in names]
    (folder / "instances" / "p.yaml").write_text("\n".join(["p.S:", *lines, ""]) if lines else "")
    pack = Pack(ref="p", path=folder / "packs" / "p")
    announced = Announced()
    context = Context(
        storage=storage,
        content=Content(
            pack_paths=(folder / "packs",),
            configs_path=folder / "configs",
            virtualenvs_path=folder / "virtualenvs",
            overrides_path=folder / "overrides",
            instances_path=folder / "instances",
        ),
        templates=Templates(lambda *_: None, lambda _, text: text, "stanley"),
        announcements=announced,
        packs=[pack],
        is_whole=True,
        progress=lambda *_: None,
        warnings=[],
    )
    outcomes = Instances(context).register({SENSOR.ref: (pack, SENSOR)}, failing=(), incomplete=())
    return {outcome.ref: outcome.result for outcome in outcomes}, announced.events


def test_many_new_instances_of_a_class_are_announced_once(tmp_path: Path, storage: Refusing) -> None:
    names = [f"i{number}" for number in range(20)]
    results, events = register(tmp_path, storage, names)
    assert results == {f"p.S@{name}": Result.CREATED for name in names}
    assert events == [("p.S", "update")]
    assert len(storage.all(Instance)) == 20
    # The class, and all instances in one step.
    assert storage.writes == 2
    results, events = register(tmp_path, storage, names)
    assert set(results.values()) == {Result.UNCHANGED}
    assert events == []


def test_an_instance_that_the_database_refuses_fails_alone(tmp_path: Path, storage: Refusing) -> None:
    results, events = register(tmp_path, storage, ["a", "refused", "b"])
    assert results == {"p.S@a": Result.CREATED, "p.S@refused": Result.FAILED, "p.S@b": Result.CREATED}
    assert events == [("p.S", "update")]
    assert [item.ref for item in storage.all(Instance)] == ["p.S@a", "p.S@b"]


def test_instances_that_are_gone_are_announced_once(tmp_path: Path, storage: Refusing) -> None:
    register(tmp_path, storage, ["a", "b", "c"])
    results, events = register(tmp_path, storage, [])
    assert results == {f"p.S@{name}": Result.REMOVED for name in "abc"}
    assert events == [("p.S", "update")]
    assert storage.all(Instance) == []
