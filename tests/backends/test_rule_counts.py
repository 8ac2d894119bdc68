"""Several hosts register the same rules at once, on each storage: each rule counts for one reference."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from st2sensor.models import Pack, Rule, Trigger, TriggerType
from st2sensor.packs.configuration.checker import Checker
from st2sensor.packs.registration import rules
from st2sensor.packs.registration.announcements import Announcements
from st2sensor.packs.registration.outcome import Outcome, failures
from st2sensor.storage.base import Storage
from st2sensor.transport.topology import Topology
from tests.backends.test_storage import Open, open_storage, place, storage

__all__ = ["open_storage", "place", "storage"]

LINE = TriggerType(pack="linux", name="line", parameters_schema={"type": "object"})

CHECKER = Checker()
"""Starts no process for schemas as simple as these."""

HOSTS = 4
ROUNDS = 5

Files = Sequence[tuple[Pack, Path]]


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    (tmp_path / "ours" / "rules").mkdir(parents=True)
    return Pack(ref="ours", path=tmp_path / "ours")


def write(pack: Pack, **paths: str) -> Files:
    """Write rules by name, each with the path that it asks for."""
    files = []
    for name, path in paths.items():
        file = pack.path / "rules" / f"{name}.yaml"
        trigger = {"type": LINE.ref, "parameters": {"path": path}}
        file.write_text(yaml.safe_dump({"name": name, "trigger": trigger}))
        files.append((pack, file))
    return files


def register(storage: Storage, files: Files) -> list[Outcome]:
    announcements = Announcements(Topology("st2"))
    outcomes = list(rules.register_files(files, None, storage, announcements, CHECKER, lambda _: False))
    assert not failures(outcomes)
    return outcomes


def asked(storage: Storage) -> dict[str, int]:
    """How many references are counted for each path. Every rule's trigger must be there, as the rule wants it."""
    triggers = {trigger.ref: trigger for trigger in storage.all(Trigger)}
    for rule in storage.all(Rule):
        assert triggers[rule.trigger].parameters == rule.parameters, rule.ref
    counts = Counter(rule.trigger for rule in storage.all(Rule))
    assert counts == {trigger.ref: trigger.ref_count for trigger in triggers.values()}
    total: Counter[str] = Counter()
    for trigger in triggers.values():
        total[trigger.parameters["path"]] += trigger.ref_count
    return dict(total)


class Interrupted:
    """A storage that has another host act just before one of its methods is called for the first time."""

    def __init__(self, storage: Storage, method: str, other: Callable[[], object]) -> None:
        self._storage = storage
        self._method = method
        self._other: Callable[[], object] | None = other

    def __getattr__(self, name: str) -> Any:
        if name == self._method and self._other is not None:
            other, self._other = self._other, None
            other()
        return getattr(self._storage, name)


BEFORE: dict[str, dict[str, str]] = {
    "new": {},
    "the same": {"a": "/x"},
    "alone": {"a": "/y"},
    "together": {"a": "/y", "b": "/y"},
    "with its goal": {"a": "/y", "b": "/x"},
}
METHODS = ["insert", "put", "replace_rule", "rename_trigger", "count_reference", "all", "get"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("before", BEFORE)
def test_a_host_that_is_overtaken_by_another_counts_nothing_twice(
    storage: Storage, open_storage: Open, pack: Pack, before: str, method: str
) -> None:
    storage.put(LINE)
    register(storage, write(pack, **BEFORE[before]))
    goal = {**BEFORE[before], "a": "/x"}
    files = write(pack, **goal)
    other = open_storage()
    register(cast("Storage", Interrupted(storage, method, lambda: register(other, files))), files)
    assert asked(storage) == Counter(goal.values())


@pytest.mark.parametrize("method", ["replace_rule", "count_reference", "all", "get"])
def test_a_host_that_unregisters_what_another_changes_gives_back_nothing_twice(
    storage: Storage, open_storage: Open, pack: Pack, method: str
) -> None:
    storage.put(LINE)
    register(storage, write(pack, a="/y", b="/y"))
    changed = write(pack, a="/x", b="/y")
    other = open_storage()
    # The first host does not have the rule a any more.
    register(cast("Storage", Interrupted(storage, method, lambda: register(other, changed))), changed[1:])
    asked(storage)
    register(storage, changed[1:])
    assert asked(storage) == {"/y": 1}


def test_hosts_that_register_and_unregister_at_once_leave_every_count_right(
    storage: Storage, open_storage: Open, pack: Pack
) -> None:
    storage.put(LINE)
    hosts = [open_storage() for _ in range(HOSTS)]
    start = threading.Barrier(HOSTS)

    def act(host: Storage, files: Files) -> None:
        start.wait()
        register(host, files)

    with ThreadPoolExecutor(HOSTS) as pool:
        for number in range(ROUNDS):
            goal = {"a": f"/{number}", "b": "/same", "c": f"/{number % 2}"}
            files = write(pack, **goal)
            list(pool.map(act, hosts, [files] * HOSTS))
            # What two hosts did to one trigger at once is repaired by the next registration, without a wrong count.
            register(storage, files)
            assert asked(storage) == Counter(goal.values())
            list(pool.map(act, hosts, [[]] * HOSTS))
            assert asked(storage) == {}


def test_only_the_record_that_was_seen_is_replaced(storage: Storage) -> None:
    def rule(trigger: str) -> Rule:
        return Rule(pack="p", name="r", metadata_file="r.yaml", trigger_type="p.t", parameters={}, trigger=trigger)

    assert not storage.replace_rule(rule("p.a"), rule("p.b"))
    assert storage.all(Rule) == []
    storage.put(rule("p.a"))
    assert storage.replace_rule(rule("p.a"), rule("p.b"))
    assert not storage.replace_rule(rule("p.a"), rule("p.c"))
    assert not storage.replace_rule(rule("p.a"), None)
    assert storage.all(Rule) == [rule("p.b")]
    assert storage.replace_rule(rule("p.b"), None)
    assert storage.all(Rule) == []


def test_a_host_that_stopped_halfway_through_a_change_leaves_nothing_counted_twice(
    storage: Storage, pack: Pack
) -> None:
    storage.put(LINE)
    register(storage, write(pack, a="/y"))
    (trigger,) = storage.all(Trigger)
    # It changed the trigger, and had no time to change the rule's record.
    storage.rename_trigger(trigger.uid, replace(trigger, parameters={"path": "/x"}))
    register(storage, write(pack, a="/x"))
    assert asked(storage) == {"/x": 1}
