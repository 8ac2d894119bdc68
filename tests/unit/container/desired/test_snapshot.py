"""Which sensors of a snapshot should run, and which changes give them new digests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from st2sensor.container.desired.snapshot import Snapshot, load, save
from st2sensor.models import Instance, Overrides, Refusal, Registration, SensorType, Trigger


def sensor(name: str, **fields: Any) -> SensorType:
    return SensorType(pack="p", name=name, artifact_uri="file:///s.py", entry_point=f"sensors.s.{name}", **fields)


def registration(name: str, **fields: Any) -> Registration:
    return Registration(pack="p", name=name, metadata_file="sensors/s.yaml", **fields)


A = sensor("A", trigger_types=("p.t", "p.refused"))
B = sensor("B")
OFF = sensor("Off", enabled=False)


def snapshot(*sensors: SensorType, own: frozenset[str] | None = None) -> Snapshot:
    return Snapshot(sensors={one.ref: one for one in sensors}, own=own)


@pytest.mark.parametrize(
    ("own", "only", "desired"),
    [
        (None, None, {"p.A", "p.B"}),
        (frozenset({"p.B", "p.Off"}), None, {"p.B"}),
        (frozenset({"p.B"}), "p.A", {"p.A"}),
        (None, "p.Off", {"p.Off"}),
        (None, "p.None", set()),
    ],
)
def test_enabled_sensors_of_the_partition_should_run_or_one_alone(
    own: frozenset[str] | None, only: str | None, desired: set[str]
) -> None:
    assert snapshot(A, B, OFF, own=own).desired(only).keys() == desired


def test_a_digest_changes_with_the_document_and_the_files_and_with_nothing_else() -> None:
    def digest(one: SensorType, files: str = "1") -> str:
        known = replace(snapshot(one), registrations={one.ref: registration(one.name, digest=files)})
        return known.desired(one.ref)[one.ref]

    same = digest(A)
    assert digest(replace(A, id="other", enabled=False)) == same
    assert digest(replace(A, poll_interval=7.0)) != same
    assert digest(A, "2") != same


def test_triggers_and_refusals_are_those_of_the_sensors_types() -> None:
    known = replace(
        snapshot(A, B),
        triggers={f"p.{name}": Trigger(pack="p", name=name, type=f"p.{name}") for name in ("t", "other")},
        refusals={"p.refused": Refusal(pack="p", name="refused", metadata_file="t.yaml", error="no object")},
    )
    assert [trigger.ref for trigger in known.triggers_of("p.A")] == ["p.t"]
    assert known.refusals_of("p.A") == ("no object",)
    assert known.triggers_of("p.B") == known.triggers_of("p.None") == []
    assert known.refusals_of("p.B") == known.refusals_of("p.None") == ()


def test_overrides_and_needs_are_those_of_the_registration() -> None:
    overrides = Overrides(runs_on=("gpu",))
    known = replace(snapshot(A), registrations={"p.A": registration("A", overrides=overrides)})
    assert known.overrides_of("p.A") == overrides
    assert known.needs_of("p.A") == ("gpu",)
    assert known.overrides_of("p.B") == Overrides()
    assert known.needs_of("p.B") == ()


def test_batches_that_are_not_known_may_be_anybodys() -> None:
    assert snapshot(A).may_have_batches("p.A")
    assert replace(snapshot(A), batches=frozenset({"p.A"})).may_have_batches("p.A")
    assert not replace(snapshot(A), batches=frozenset()).may_have_batches("p.A")


@pytest.mark.parametrize("own", [None, frozenset(), frozenset({"p.A"})])
def test_a_saved_partition_is_loaded_again(folder: Path, own: frozenset[str] | None) -> None:
    save(snapshot(A, own=own), folder / "known.json")
    loaded = load(folder / "known.json")
    assert loaded is not None
    assert loaded.own == own
    assert loaded.batches is None
    assert loaded.sensors.keys() == {"p.A"}


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "[" * 100_000])
def test_a_file_that_is_no_snapshot_is_as_good_as_none(folder: Path, text: str) -> None:
    (folder / "known.json").write_text(text)
    assert load(folder / "known.json") is None
    assert load(folder / "none.json") is None


def test_an_instance_is_notified_of_the_triggers_that_its_filter_accepts(tmp_path: Path) -> None:
    triggers = {
        f"p.{name}": Trigger(pack="p", name=name, type="p.t", parameters={"path": f"/{name}"}) for name in ("a", "b")
    }
    runs = replace(A, name="A@x")
    found = Snapshot(
        sensors={"p.A@x": runs},
        triggers=triggers,
        instances={"p.A@x": Instance(pack="p", name="A@x", triggers={"p.t": {"path": "/a*"}})},
    )
    assert [trigger.ref for trigger in found.triggers_of("p.A@x")] == ["p.a"]
    # This is so without the database as well.
    save(found, tmp_path / "saved.json")
    loaded = load(tmp_path / "saved.json")
    assert loaded is not None
    assert [trigger.ref for trigger in loaded.triggers_of("p.A@x")] == ["p.a"]
