"""Refused trigger types: their records, and how long they stay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from st2sensor.errors import ContentError, TriggerRefused
from st2sensor.models import Pack, Refusal
from st2sensor.packs.configuration.checker import Checker
from st2sensor.packs.registrable import SENSORS, TRIGGERS
from st2sensor.packs.registration import asking
from st2sensor.packs.registration.announcements import Announcements
from st2sensor.packs.registration.refusals import Refusals
from st2sensor.storage.sqlite.storage import SqliteStorage
from st2sensor.transport.topology import Topology


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[SqliteStorage]:
    with closing(SqliteStorage(tmp_path / "st2.db")) as found:
        found.prepare()
        yield found


def noted(storage: SqliteStorage) -> dict[str, str]:
    return {refusal.ref: refusal.error for refusal in storage.all(Refusal)}


def test_a_refusal_is_kept_until_its_file_is_read_without_it(storage: SqliteStorage) -> None:
    first = Refusals()
    first.add("p", "a", "sensors/s.yaml", "s.yaml:1: wrong")
    first.add("p", "b", "triggers/b.yaml", "b.yaml:1: wrong")
    first.add("elsewhere", "c", "sensors/c.yaml", "c.yaml:1: wrong")
    first.settle(storage, [SENSORS, TRIGGERS], None)
    assert set(noted(storage)) == {"p.a", "p.b", "elsewhere.c"}

    Refusals().settle(storage, [], {"p"})
    Refusals().settle(storage, [SENSORS], {"other"})
    assert set(noted(storage)) == {"p.a", "p.b", "elsewhere.c"}
    Refusals().settle(storage, [SENSORS], {"p"})
    assert set(noted(storage)) == {"p.b", "elsewhere.c"}
    Refusals().settle(storage, [SENSORS, TRIGGERS], None)
    assert noted(storage) == {}


def test_the_first_reason_counts_and_is_bounded(storage: SqliteStorage) -> None:
    refusals = Refusals()
    refusals.add("p", "a", "sensors/s.yaml", "first " + "x" * 100_000)
    refusals.add("p", "a", "sensors/t.yaml", "second")
    refusals.add("p", "\ud800", "sensors/t.yaml", "cannot be stored")
    refusals.settle(storage, [SENSORS], None)
    error = noted(storage)["p.a"]
    assert error.startswith("first xxx")
    assert len(error) < 10_000


def test_a_refused_file_takes_its_types_with_it(storage: SqliteStorage, tmp_path: Path) -> None:
    pack = Pack(ref="p", path=tmp_path)
    (tmp_path / "sensors").mkdir()
    (tmp_path / "triggers").mkdir()
    sensor, trigger = tmp_path / "sensors" / "s.yaml", tmp_path / "triggers" / "t.yaml"
    sensor.write_text("class_name: S\ntrigger_types: [{name: a}, {name: b}]\n")
    trigger.write_text("name: c\ntags: 1\n")
    error = ContentError("it is wrong", file="f.yaml")
    refusals = Refusals()
    refusals.add_file(pack, sensor, SENSORS, error)
    refusals.add_file(pack, trigger, TRIGGERS, error)
    refusals.settle(storage, [SENSORS, TRIGGERS], None)
    assert noted(storage) == dict.fromkeys(["p.a", "p.b", "p.c"], "f.yaml: it is wrong")

    # The types in such a file are not known, so known refusals stay.
    sensor.write_text("{")
    later = Refusals()
    later.add_file(pack, sensor, SENSORS, error)
    later.settle(storage, [SENSORS, TRIGGERS], None)
    assert set(noted(storage)) == {"p.a", "p.b"}


def test_who_asks_for_a_refused_type_hears_why(storage: SqliteStorage) -> None:
    storage.put(Refusal(pack="p", name="a", metadata_file="sensors/s.yaml", error="s.yaml:6: payload_schema is wrong"))
    with pytest.raises(TriggerRefused, match=r"^trigger type p\.a was refused: s\.yaml:6: payload_schema is wrong$"):
        asking.ask("p.a", {}, storage, Announcements(Topology("st2")), Checker())
