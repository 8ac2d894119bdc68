"""Assignments: the configuration with values from the datastore, the secrets in it, and an unreachable database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from st2sensor import config
from st2sensor.container.sessions import assignments as module
from st2sensor.container.sessions.assignments import Assignments
from st2sensor.container.sessions.secret_watch import SecretWatch
from st2sensor.datastore.keyring import Keyring
from st2sensor.errors import ContentError, DatastoreUnavailable, StorageUnavailable
from st2sensor.models import KeyValue, SensorType
from st2sensor.packs.configuration.templates import FUNCTIONS
from st2sensor.secrets.sources import SecretSources
from st2sensor.settings import Settings
from st2sensor.storage.base import Storage
from st2sensor.workers.pool import Pool

SCHEMA = """\
host: {type: string, default: here}
key: {type: string, secret: true}
"""


class Entries:
    """A datastore with one entry, which may be unreachable."""

    def __init__(self) -> None:
        self.value = "there"
        self.away = 0
        """How many reads fail from now on."""
        self.reads = 0
        self.go_on = threading.Event()
        self.go_on.set()

    def get_value(self, scope: str, name: str, now: object) -> KeyValue:  # noqa: ARG002
        self.reads += 1
        self.go_on.wait(1)
        if self.away:
            self.away -= 1
            raise StorageUnavailable("the database is away")
        return KeyValue(scope=scope, name=name, value=self.value)


class Place:
    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self.entries = Entries()
        self.workers = Pool(FUNCTIONS)
        self.changed: list[str] = []
        self.sensor = SensorType(
            pack="p",
            name="S",
            artifact_uri=f"file://{folder}/packs/p/sensors/s.py",
            entry_point="sensors.s.S",
            poll_interval=3.0,
        )

    def configure(self, values: str, schema: str = SCHEMA) -> None:
        (self.folder / "configs" / "p.yaml").write_text(values)
        (self.folder / "packs" / "p" / "config.schema.yaml").write_text(schema)

    def assign(self, times: int = 1) -> list[tuple[dict[str, Any], frozenset[str]]]:
        """Return what so many starts get, one after the other."""

        async def blocking(call: Callable[[], Any]) -> Any:
            return call()

        async def run() -> list[tuple[dict[str, Any], frozenset[str]]]:
            secrets = SecretWatch(SecretSources(None), 60, changed=self.changed.append, readable=self.changed.append)
            keyring = Keyring(self.settings.key_values)
            found = Assignments(self.settings, cast(Storage, self.entries), keyring, blocking, self.workers, secrets)
            try:
                return [await found.of(self.sensor) for _ in range(times)]
            finally:
                found.close()

        return asyncio.run(run())


@pytest.fixture
def place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(module, "CONFIG_RETRY", 0.001)
    for path in ("configs", "packs/p/sensors"):
        (folder / path).mkdir(parents=True)
    (folder / "packs" / "p" / "pack.yaml").write_text("name: p\nversion: 1.0.0\n")
    (folder / "packs" / "p" / "sensors" / "s.py").touch()
    conf = folder / "st2.conf"
    conf.write_text(
        f"[system]\nbase_path = {folder}\n[content]\npacks_base_paths = {folder}/packs\n"
        f"[sensorcontainer]\nstate_dir = {folder}/state\n[datastore]\ntimeout = 0.05\n"
    )
    made = Place(folder, config.load([str(conf)]))
    yield made
    made.workers.close()


def test_a_sensor_gets_its_code_its_interval_and_its_rendered_configuration(place: Place) -> None:
    place.configure("host: '{{ st2kv.system.x }}'\nkey: hush\n")
    ((assignment, secrets),) = place.assign()
    assert (assignment["ref"], assignment["pack"], assignment["poll_interval"]) == ("p.S", "p", 3.0)
    assert assignment["config"] == {"host": "there", "key": "hush"}
    assert secrets == {"hush"}


def test_secrets_are_not_masked_if_an_operator_says_so(place: Place) -> None:
    place.configure("key: hush\n")
    place.settings = replace(place.settings, log=replace(place.settings.log, mask_secrets=False))
    assert place.assign()[0][1] == frozenset()


def test_a_pack_without_configuration_and_schema_gets_none_and_needs_no_database(place: Place) -> None:
    ((assignment, secrets),) = place.assign()
    assert (assignment["config"], secrets, place.entries.reads) == ({}, frozenset(), 0)


def test_the_token_for_the_api_is_a_secret(place: Place) -> None:
    (place.folder / "token").write_text("t0ken\n")
    changed = replace(place.settings.container, api_token_file=place.folder / "token")
    place.settings = replace(place.settings, container=changed)
    assert place.assign()[0][1] == {"t0ken"}


def test_a_start_waits_for_a_database_that_comes_back(place: Place) -> None:
    place.settings = replace(place.settings, datastore=replace(place.settings.datastore, timeout=60.0))
    place.configure("host: '{{ st2kv.system.x }}'\n")
    place.entries.away = 3
    assert place.assign()[0][0]["config"]["host"] == "there"
    assert place.entries.reads == 4


def test_a_start_fails_if_the_database_stays_away_and_the_value_was_never_read(place: Place) -> None:
    place.configure("host: '{{ st2kv.system.x }}'\n")
    place.entries.away = 1_000_000
    with pytest.raises(DatastoreUnavailable, match="the configuration needs x from it"):
        place.assign()


def test_values_that_were_read_before_are_used_while_the_database_is_away(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.configure("host: '{{ st2kv.system.x }}'\n")
    read = place.entries.get_value

    def read_once(scope: str, name: str, now: object) -> KeyValue:
        entry = read(scope, name, now)
        place.entries.away = 1_000_000
        return entry

    place.entries.get_value = read_once  # type: ignore[method-assign]
    first, second = place.assign(times=2)
    assert first == second
    assert "p.S: the database is away; its configuration uses the values last read from the datastore" in caplog.text


def test_a_configuration_that_takes_too_long_is_an_error_of_its_file(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONFIG_TIMEOUT", 0.01)
    place.configure("host: '{{ st2kv.system.x }}'\n")
    place.entries.go_on.clear()
    with pytest.raises(ContentError, match=r"p\.S: rendering the configuration took more than 0\.01 s"):
        place.assign()
    place.entries.go_on.set()


def test_a_pack_that_lacks_required_values_is_warned_about(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.configure("")
    (place.folder / "configs" / "p.yaml").unlink()
    assert place.assign()[0][0]["config"] == {"host": "here"}
    assert caplog.text == ""
    place.configure("", SCHEMA + "token: {type: string, required: true}\n")
    (place.folder / "configs" / "p.yaml").unlink()
    assert place.assign()[0][0]["config"] == {"host": "here"}
    assert "p.S: " in caplog.text
    assert "the pack has no configuration" in caplog.text
