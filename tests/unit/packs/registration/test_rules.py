"""Rules: who registers them, and the references that are counted for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from bson import ObjectId

from st2sensor.models import Entity, Pack, Rule, Trigger, TriggerType
from st2sensor.packs.configuration import checker
from st2sensor.packs.configuration.checker import Checker
from st2sensor.packs.registration import asking, rules
from st2sensor.packs.registration.announcements import Announcements
from st2sensor.packs.registration.outcome import Outcome, Result
from st2sensor.storage.sqlite.storage import SqliteStorage
from st2sensor.transport.base import Message, Transport
from st2sensor.transport.topology import Topology
from tests.unit.transport.test_codec import Stand

CHECKER = Checker()
"""A checker, which starts no process for schemas as simple as these."""

LINE = TriggerType(pack="linux", name="line", parameters_schema={"type": "object"})


class Shared(SqliteStorage):
    """A database in which StackStorm may have rules. :ivar theirs: the triggers that these ask for."""

    theirs: tuple[str, ...] = ()

    def stackstorm_rules(self, trigger: str | None = None) -> int:
        return len([ref for ref in self.theirs if trigger in (None, ref)])


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Shared]:
    with closing(Shared(tmp_path / "st2.db")) as found:
        found.prepare()
        found.put(LINE)
        yield found


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    (tmp_path / "ours" / "rules").mkdir(parents=True)
    return Pack(ref="ours", path=tmp_path / "ours")


def write(pack: Pack, name: str, trigger_type: str = LINE.ref, **parameters: object) -> tuple[Pack, Path]:
    path = pack.path / "rules" / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name, "trigger": {"type": trigger_type, "parameters": parameters}}))
    return pack, path


def register(storage: Shared, *files: tuple[Pack, Path]) -> list[Outcome]:
    return list(rules.register_files(files, None, storage, Announcements(Topology("st2")), CHECKER, lambda _: False))


def results(outcomes: list[Outcome]) -> dict[str, Result]:
    return {outcome.ref: outcome.result for outcome in outcomes}


def counts(storage: Shared) -> list[int]:
    return [trigger.ref_count for trigger in storage.all(Trigger)]


def test_rules_are_counted_where_stackstorm_has_none(storage: Shared, pack: Pack) -> None:
    files = write(pack, "a", path="/x"), write(pack, "b", path="/x")
    assert results(register(storage, *files)) == {"ours.a": Result.CREATED, "ours.b": Result.CREATED}
    assert results(register(storage, *files)) == {"ours.a": Result.UNCHANGED, "ours.b": Result.UNCHANGED}
    assert counts(storage) == [2]


def test_rules_are_left_to_a_stackstorm_that_has_any(storage: Shared, pack: Pack) -> None:
    storage.theirs = ("other.trigger",)
    broken = pack.path / "rules" / "broken.yaml"
    broken.write_text("{")
    assert results(register(storage, write(pack, "a", path="/x"), (pack, broken))) == {
        "ours.a": Result.LEFT,
        "ours: broken.yaml": Result.LEFT,
    }
    assert counts(storage) == []
    assert storage.all(Rule) == []


def test_what_was_counted_before_stackstorm_came_is_given_back_exactly(storage: Shared, pack: Pack) -> None:
    both, ours = write(pack, "both", path="/x"), write(pack, "ours", path="/y")
    register(storage, both, ours)
    (trigger,) = [item for item in storage.all(Trigger) if item.parameters == {"path": "/x"}]
    # StackStorm registers one of them and a rule of its own for the same trigger, and an operator asks for it.
    storage.count_reference(trigger.ref, 3)
    storage.theirs = (trigger.ref, trigger.ref)

    assert results(register(storage, both, ours)) == {"ours.both": Result.GIVEN_BACK, "ours.ours": Result.GIVEN_BACK}
    assert [(item.ref, item.ref_count) for item in storage.all(Trigger)] == [(trigger.ref, 3)]
    assert results(register(storage, both, ours)) == {"ours.both": Result.LEFT, "ours.ours": Result.LEFT}
    assert counts(storage) == [3]


def test_two_that_give_back_at_once_do_so_once(storage: Shared, pack: Pack) -> None:
    register(storage, write(pack, "a", path="/x"))
    (rule,) = storage.all(Rule)
    storage.count_reference(rule.trigger, 1)
    announcements = Announcements(Topology("st2"))
    rules.unregister(rule, storage, announcements)
    rules.unregister(rule, storage, announcements)
    assert counts(storage) == [1]


class Slow(Shared):
    """Another host registers the same rule just before its record is inserted here. :ivar other: registers it."""

    def __init__(self, path: Path, other: Callable[[], object]) -> None:
        super().__init__(path)
        self.other = other

    def insert(self, entity: Entity) -> bool:
        self.other()
        return super().insert(entity)


def test_two_hosts_that_register_a_rule_at_once_count_it_once(storage: Shared, pack: Pack, tmp_path: Path) -> None:
    file = write(pack, "a", path="/x")
    with closing(Slow(tmp_path / "st2.db", lambda: register(storage, file))) as slow:
        assert results(register(slow, file)) == {"ours.a": Result.UNCHANGED}
    assert counts(storage) == [1]
    (rule,) = storage.all(Rule)
    assert storage.get(Trigger, rule.trigger) is not None


def test_a_rule_waits_for_its_trigger_type(storage: Shared, pack: Pack) -> None:
    file = write(pack, "a", "other.asked", path="/x")
    (outcome,) = register(storage, file)
    assert outcome.result is Result.WAITING
    assert "a.yaml:5: there is no trigger type other.asked; correct the type" in outcome.message
    storage.put(TriggerType(pack="other", name="asked", parameters_schema={"type": "object"}))
    assert results(register(storage, file)) == {"ours.a": Result.CREATED}


class Bus:
    """Keeps the published messages."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def publisher(self, patience: float) -> Bus:  # noqa: ARG002
        return self

    def connect(self) -> None: ...

    def publish(self, messages: list[Message]) -> None:
        self.messages += messages

    def close(self) -> None: ...


TRIGGER_DB = "st2common.models.db.trigger"


def told(announcements: Announcements) -> list[tuple[str, dict[str, Any]]]:
    bus = Bus()
    announcements.send(cast("Transport", bus))
    assert {message.exchange for message in bus.messages} == {"st2.trigger"}
    return [(message.routing_key, dict(Stand(message.body, TRIGGER_DB).load()._data)) for message in bus.messages]


def test_stackstorm_is_told_of_triggers_as_they_are_stored(storage: Shared) -> None:
    announcements = Announcements(Topology("st2"), for_stackstorm=True)
    trigger = asking.ask(LINE.ref, {"path": "/x"}, storage, announcements, CHECKER)
    stored = storage.get(Trigger, trigger.ref)
    assert stored is not None
    storage.put(Trigger(pack="linux", name="boot", type="linux.boot"))
    # Types are not announced.
    announcements.add_type(LINE, "update", storage)
    asking.withdraw(trigger.ref, storage, announcements)
    fields = {
        "_id": ObjectId(stored.id),
        "ref": trigger.ref,
        "name": trigger.name,
        "pack": "linux",
        "uid": trigger.uid,
        "type": LINE.ref,
        "parameters": {"path": "/x"},
        "ref_count": 1,
    }
    assert told(announcements) == [("create", fields), ("update", fields), ("delete", fields)]


def test_a_schema_that_takes_too_long_fails_its_rule_alone(
    storage: Shared, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checker, "CHECK_TIMEOUT", 0.5)
    schema = {"type": "object", "properties": {"path": {"type": "string", "pattern": "^(a+)+$"}}}
    storage.put(TriggerType(pack="other", name="costly", parameters_schema=schema))
    files = [
        write(pack, "a", path="/x"),
        write(pack, "hangs", "other.costly", path="a" * 60 + "!"),
        write(pack, "wrong", "other.costly", path="b"),
        write(pack, "z", "other.costly", path="a"),
    ]
    outcomes = register(storage, *files)
    assert results(outcomes) == {
        "ours.a": Result.CREATED,
        "ours.hangs": Result.FAILED,
        "ours.wrong": Result.FAILED,
        "ours.z": Result.CREATED,
    }
    hangs, wrong = [outcome.message for outcome in outcomes if outcome.result is Result.FAILED]
    assert "hangs.yaml:3: parameters cannot be checked against the parameters_schema of trigger type other.c" in hangs
    assert hangs.endswith("; simplify the schema")
    assert "parameters do not fit trigger type other.costly: path: 'b' does not match '^(a+)+$'" in wrong
    assert counts(storage) == [1, 1]


class Counting(Shared):
    """Counts how often all triggers are read."""

    reads = 0

    def all(self, kind: type[Any]) -> list[Any]:
        self.reads += kind is Trigger
        return super().all(kind)


def test_many_rules_on_one_type_read_all_triggers_once(tmp_path: Path, pack: Pack) -> None:
    with closing(Counting(tmp_path / "counted.db")) as storage:
        storage.prepare()
        storage.put(LINE)
        files = [write(pack, f"r{number}", path=f"/{number}", odd=[1, {"a": None}]) for number in range(30)]
        assert set(results(register(storage, *files)).values()) == {Result.CREATED}
        assert storage.reads == 1
        assert len(storage.all(Trigger)) == 30
        assert set(results(register(storage, *files)).values()) == {Result.UNCHANGED}


def test_a_trigger_that_another_host_adds_meanwhile_is_found(storage: Shared, pack: Pack) -> None:
    triggers = asking.Triggers(storage)
    assert triggers.find(LINE.ref, {"path": 1}) is None
    register(storage, write(pack, "a", path=1))
    (trigger,) = storage.all(Trigger)
    # Equal values are the same parameter, as in Python.
    assert triggers.find(LINE.ref, {"path": 1.0}) == trigger
    assert triggers.find("linux.other", {"path": 1}) is None
    rules.unregister(storage.all(Rule)[0], storage, Announcements(Topology("st2")))
    assert triggers.find(LINE.ref, {"path": 1}) is None
