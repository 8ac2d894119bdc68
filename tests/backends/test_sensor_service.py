"""The sensor service as sensors see it: on a container's own parts over a socket, and on the one in memory.

What holds in a pack's tests, which run on the second, has to hold in production.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn, Protocol
from uuid import UUID

import pytest

from st2sensor.container.sessions.datastore.announcer import Announcer
from st2sensor.container.sessions.datastore.batches import Batches
from st2sensor.container.sessions.datastore.database_calls import DatabaseCalls
from st2sensor.container.sessions.datastore.leased_calls import LeasedCalls
from st2sensor.container.sessions.datastore.methods import DatastoreMethods
from st2sensor.container.sessions.endpoint import Endpoint
from st2sensor.container.sessions.events import EventMethods
from st2sensor.container.sessions.wrapper_methods import WrapperMethods
from st2sensor.datastore.keyring import Keyring
from st2sensor.datastore.sensor_keys import SensorKeys
from st2sensor.delivery.dead_letters import DeadLetters
from st2sensor.dispatch.catalogue import Catalogue
from st2sensor.dispatch.checker import Checker
from st2sensor.dispatch.dispatcher import Dispatcher
from st2sensor.dispatch.traffic import Traffic
from st2sensor.errors import ContainerGone, DatastoreRefused
from st2sensor.models import Trigger, TriggerType
from st2sensor.outbox.outbox import Outbox
from st2sensor.portable import crypto
from st2sensor.portable.keyspace import NAME_LIMIT, VALUE_LIMIT, Asker
from st2sensor.portable.payload import objects
from st2sensor.portable.sending import LARGEST
from st2sensor.settings import KeyValues, Payloads
from st2sensor.sharing.held_leases import Unshared
from st2sensor.storage.sqlite import SqliteStorage
from st2sensor.testing import Dispatched
from st2sensor.testing.memory import MemoryConnection, MemoryContainer
from st2sensor.wrapper.connection import Connection
from st2sensor.wrapper.service import SensorService
from tests.plugins.patience import SOON


def _gone() -> NoReturn:
    raise ContainerGone("the container is gone")


class Container(Protocol):
    """The interface that both have for tests."""

    def service(self, sensor: str) -> SensorService:
        """The service of a sensor."""

    def dispatched(self) -> list[Dispatched]:
        """What was dispatched, in order."""

    def advance(self, seconds: float) -> None:
        """Let time pass for the datastore."""


class InMemory:
    def __init__(self) -> None:
        self._container = MemoryContainer()

    def service(self, sensor: str) -> SensorService:
        return SensorService(MemoryConnection(self._container, sensor), sensor)

    def dispatched(self) -> list[Dispatched]:
        return self._container.dispatched

    def advance(self, seconds: float) -> None:
        self._container.advance(seconds)


class Real:
    """A container's requests, datastore and outbox, on the embedded storage; tokens are references."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "control.sock"
        self._loop = asyncio.new_event_loop()
        self._now = datetime.now(UTC)
        self._storage = SqliteStorage(folder / "st2.db")
        self._storage.prepare()
        self._outbox = Outbox(folder / "outbox.db")
        self._storing = DatabaseCalls(self._loop, self._storage.ping, SOON)
        key = folder / "key.json"
        key.write_text(crypto.generate())
        key.chmod(0o600)
        catalogue = Catalogue()
        catalogue.learn([TriggerType(pack="p", name="t")], [])
        self._checker = Checker(catalogue, Payloads())
        self._dispatcher = Dispatcher(self._outbox, catalogue, Traffic(), self._checker, validate=True)
        keyring = Keyring(KeyValues(enable_encryption=True, encryption_key_path=key, previous_key_paths=()))
        keys = SensorKeys(self._storage, keyring, lambda: self._now)
        calls = LeasedCalls(self._storing, Unshared(), self)
        announcer = Announcer(self._loop, self._dispatcher, self.emit, enabled=False)
        events = EventMethods(self, self._dispatcher)
        batches = Batches(self, keys, calls, self._dispatcher, events.entry_of, announcer)
        datastore = DatastoreMethods(self, keys, calls, batches, announcer)
        requests = WrapperMethods(self, self, events, datastore, user="stanley")
        self._endpoint = Endpoint(self._loop, self._path, requests)
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._connections: list[Connection] = []

    def service(self, sensor: str) -> SensorService:
        connection = Connection(str(self._path), sensor, gone=_gone)
        self._connections.append(connection)
        return SensorService(connection, sensor)

    def dispatched(self) -> list[Dispatched]:
        entries = [row.entry for row in self._outbox.read(0, 1000, 0)]
        return [_dispatched(json.loads(entry.body), entry.tagged) for entry in entries]

    def reasons(self) -> list[str]:
        """Why events have become dead letters."""
        return [letter.entry.reason or "" for letter in DeadLetters(self._folder / "outbox.db").all()]

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

    def close(self) -> None:
        self._checker.close()
        for connection in self._connections:
            connection._reset()
        self._loop.call_soon_threadsafe(self._endpoint.close)
        # Sessions end when they have read the end of their connection.
        self._loop.call_soon_threadsafe(self._loop.call_later, 0.01, self._loop.stop)
        self._thread.join()
        self._storing.close()
        self._outbox.close()
        self._storage.close()
        self._loop.close()

    # What the requests need of a node and its sensors.

    async def sensor_of(self, token: str) -> str | None:
        return token

    async def assignment(self, ref: str) -> dict[str, Any]:
        raise NotImplementedError(ref)

    def may_have_batches(self, ref: str) -> bool:
        raise NotImplementedError(ref)

    def triggers_of(self, ref: str) -> list[Trigger]:
        raise NotImplementedError(ref)

    async def refresh(self) -> None:
        pass

    def asker(self, ref: str) -> Asker:
        return Asker(sensor=ref)

    def is_stopping(self, ref: str) -> bool:
        return ref == ""

    def emit(self, trigger: str, payload: dict[str, Any]) -> None:
        raise NotImplementedError(trigger)

    def log_level(self, ref: str) -> int:
        raise NotImplementedError(ref)

    def is_ready(self, ref: str) -> None:
        raise NotImplementedError(ref)

    def is_set_up(self, ref: str) -> None:
        raise NotImplementedError(ref)

    def ends(self, ref: str) -> None:
        raise NotImplementedError(ref)

    def polls(self, ref: str, running: bool, interval: float | None, failed: bool) -> None:
        raise NotImplementedError(ref)

    def hears(self, ref: str, method: str, running: bool) -> None:
        raise NotImplementedError(ref)

    def log(self, ref: str, name: str, level: int, message: str) -> None:
        raise NotImplementedError(ref)


def _dispatched(body: dict[str, Any], tagged: bool) -> Dispatched:
    trace = body["trace_context"] or {}
    return Dispatched(
        trigger=body["trigger"],
        payload=objects(body["payload"]) if tagged else body["payload"],
        trace_tag=trace.get("trace_tag"),
        trace_id=trace.get("id_"),
    )


@pytest.fixture(params=["real", "memory"])
def container(request: pytest.FixtureRequest, folder: Path) -> Iterator[Container]:
    if request.param == "memory":
        yield InMemory()
        return
    with closing(Real(folder)) as real:
        yield real


@pytest.fixture
def a(container: Container) -> SensorService:
    return container.service("p.A")


@pytest.fixture
def b(container: Container) -> SensorService:
    return container.service("p.B")


def names(service: SensorService, **options: Any) -> list[str]:
    return [value.name for value in service.list_values(**options)]


def test_what_is_dispatched_arrives_as_it_was_and_in_order(container: Container, a: SensorService) -> None:
    first: dict[Any, Any] = {"n": 1, "x": (1, [None, True]), 5: "é\ud800"}
    a.dispatch("p.t", first)
    a.dispatch(trigger={"pack": "p", "name": "t", "type": "p.t"}, payload={"n": 2}, trace_tag="tag")
    a.dispatch_with_context("p.t", {"n": 3}, {"id_": "i", "trace_tag": "t"})
    a.dispatch("p.t")
    assert container.dispatched() == [
        Dispatched("p.t", {"n": 1, "x": [1, [None, True]], "5": "é\ud800"}),
        Dispatched({"pack": "p", "name": "t", "type": "p.t"}, {"n": 2}, "tag"),
        Dispatched("p.t", {"n": 3}, "t", "i"),
        Dispatched("p.t", {}),
    ]


def test_more_than_json_travels(container: Container, a: SensorService) -> None:
    payload = {
        "at": datetime(2026, 1, 31, 12, tzinfo=UTC),
        "day": date(2026, 1, 31),
        "raw": b"\0\xff",
        "seen": {(1, 2), "x"},
        "price": Decimal("1.10"),
        "id": UUID(int=5),
        "$st2": "mine",
    }
    a.dispatch("p.t", payload)
    a.dispatch_and_set([("p.t", payload, "tag")], "cursor", 1)
    assert container.dispatched() == [Dispatched("p.t", payload), Dispatched("p.t", payload, "tag")]


def nested(levels: int) -> Any:
    value: Any = [b"x"]
    for _ in range(levels):
        value = {"a": value, "b": value}
    return value


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"x": nested(3000)}, "is nested too deeply"),
        ({"x": 10**5000}, "integer of too many digits"),
        ({"x": "y" * LARGEST}, "bytes, too many to be sent"),
    ],
    ids=["deep", "digits", "bytes"],
)
def test_what_has_a_json_form_that_cannot_be_sent_raises_nothing(
    container: Container, a: SensorService, payload: Any, reason: str
) -> None:
    a.dispatch("p.t", payload)
    assert a.dispatch_and_set([("p.t", payload)], "cursor", 1) is True
    a.dispatch("p.t", {"n": 1})
    if isinstance(container, Real):
        assert container.dispatched() == [Dispatched("p.t", {"n": 1})]
        assert len(container.reasons()) == 2
        assert all(reason in found and found.endswith("and is not kept") for found in container.reasons())
    else:
        assert [found.payload for found in container.dispatched()] == [None, None, {"n": 1}]


@pytest.mark.parametrize("value", [object(), {"deep": [object]}, {(1, 2): 3}], ids=["object", "class", "key"])
def test_what_cannot_travel_raises_type_error_and_leaves_no_trace(
    container: Container, a: SensorService, value: Any
) -> None:
    with pytest.raises(TypeError, match="payload"):
        a.dispatch("p.t", {"x": value})
    with pytest.raises(TypeError, match="payload"):
        a.dispatch_and_set([("p.t", {}), ("p.t", {"x": value})], "cursor", 1)
    circular: dict[str, Any] = {}
    circular["self"] = circular
    with pytest.raises(TypeError, match="contains itself"):
        a.dispatch("p.t", circular)
    assert container.dispatched() == []
    assert a.get_value("cursor") is None


def test_many_events_are_dispatched_in_order_and_in_one_commit(container: Container, a: SensorService) -> None:
    a.dispatch_many([])
    assert container.dispatched() == []
    a.dispatch_many(
        [("p.t", {"n": 1}), ("p.t", {"n": 2}), ("p.t", {"n": {3}}, "tag"), ("p.t", None), ["p.t", {"n": 5}]]
    )
    assert container.dispatched() == [
        Dispatched("p.t", {"n": 1}),
        Dispatched("p.t", {"n": 2}),
        Dispatched("p.t", {"n": {3}}, "tag"),
        Dispatched("p.t", {}),
        Dispatched("p.t", {"n": 5}),
    ]


def test_many_events_are_bounded_and_one_that_cannot_travel_refuses_all(container: Container, a: SensorService) -> None:
    with pytest.raises(TypeError, match="payload"):
        a.dispatch_many([("p.t", {}), ("p.t", {"x": object()})])
    with pytest.raises(ValueError, match="dispatch them in parts"):
        a.dispatch_many([("p.t", {})] * 10_001)
    with pytest.raises(ValueError, match="dispatch them in parts"):
        a.dispatch_many([("p.t", {"x": "y" * (LARGEST // 2)})] * 2)
    # Each has a trace of its own, so their parameters alone are too long for one line.
    with pytest.raises(ValueError, match="too many for one message"):
        a.dispatch_many([("p.t", {}, f"{number} ".ljust(200, "x")) for number in range(9000)])
    assert container.dispatched() == []
    a.dispatch_many([("p.t", {"n": 1})])
    assert container.dispatched() == [Dispatched("p.t", {"n": 1})]


def test_an_invalid_event_among_many_becomes_a_dead_letter(container: Container, a: SensorService) -> None:
    a.dispatch_many([("p.t", {"n": 1}), ("p.nothing", {"n": 2}), ("p.t", [3]), ("p.t", {"n": 4})])
    if isinstance(container, Real):
        assert container.dispatched() == [Dispatched("p.t", {"n": 1}), Dispatched("p.t", {"n": 4})]
        assert container.reasons() == [
            "trigger p.nothing is not registered",
            "the payload is of type array, not object",
        ]


def test_the_user_is_told_as_stackstorm_does(a: SensorService) -> None:
    assert a.get_user_info() == {
        "username": "stanley",
        "rbac": {"enabled": False, "roles": [], "is_admin": False},
        "authentication": {"method": "system user", "location": None},
    }


def test_a_value_is_text_and_knows_its_name(a: SensorService) -> None:
    assert a.set_value("n", 42) is True
    found = a.get_value("n")
    assert found is not None
    assert (found, int(found), found.value, found.name) == ("42", 42, "42", "p.A:n")
    assert (found.secret, found.encrypted, found.expire_timestamp) == (False, False, None)
    assert a.get_value("missing") is None
    assert a.delete_value("n") is True
    assert a.delete_value("n") is False


def test_local_keys_are_a_sensors_own_and_global_ones_are_shared(a: SensorService, b: SensorService) -> None:
    a.set_value("key", "a")
    b.set_value("key", "b")
    a.set_value("key", "everybody's", local=False)
    assert (a.get_value("key"), b.get_value("key"), b.get_value("key", local=False)) == ("a", "b", "everybody's")
    assert b.get_value("p.A:key", local=False) == "a"
    changes: list[Callable[[], object]] = [
        lambda: b.set_value("p.A:key", "x", local=False),
        lambda: b.delete_value("p.A:key", local=False),
        lambda: b.compare_and_set("p.A:key", "a", "x", local=False),
        lambda: b.dispatch_and_set([("p.t", {})], "p.A:key", "x", local=False),
    ]
    for change in changes:
        with pytest.raises(DatastoreRefused, match="belongs to that sensor"):
            change()
    assert a.get_value("key") == "a"


def test_a_list_is_by_name_by_prefix_and_in_pages(a: SensorService, b: SensorService) -> None:
    for name in ("é", "b", "a.2", "Z", "a.10", "\U0001f600", "\ufeff"):
        a.set_value(name, 1)
    b.set_value("a.1", 1)
    a.set_value("a.0", 1, local=False)
    ordered = [f"p.A:{name}" for name in ("Z", "a.10", "a.2", "b", "é", "\ufeff", "\U0001f600")]
    assert names(a) == ordered
    assert names(a, prefix="a.") == ["p.A:a.10", "p.A:a.2"]
    assert names(a, limit=2, offset=1) == ["p.A:a.10", "p.A:a.2"]
    # As in StackStorm.
    assert names(a, limit=0) == names(a, limit=-1) == names(a, offset=None) == ordered
    assert names(a, offset=100) == []
    assert names(a, local=False) == ["a.0", *ordered, "p.B:a.1"]
    assert names(a, local=False, prefix="p.B") == ["p.B:a.1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prefix": 5}, "prefix must be a string, not 5"),
        ({"prefix": "\ud800"}, "a prefix must be text that UTF-8 can encode"),
        ({"limit": -2}, "limit must be a whole number"),
        ({"offset": -1}, "offset must be a whole number"),
    ],
)
def test_what_cannot_be_a_page_is_refused(a: SensorService, options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        a.list_values(**options)


@pytest.mark.parametrize(
    ("name", "value", "ttl", "message"),
    [
        ("", "", None, "a datastore key must be a non-empty string, not ''"),
        (5, "", None, "a datastore key must be a non-empty string, not 5"),
        ("\ud800", "", None, "a datastore key must be text that UTF-8 can encode"),
        ("x" * NAME_LIMIT, "", None, "1028 bytes is too long: the limit is 1024"),
        ("k", "x" * (VALUE_LIMIT + 1), None, "4194305 bytes is too long: the limit is 4194304"),
        ("k", "v", -1, "ttl must be more than 0 seconds, not -1"),
        ("k", "v", "5", "ttl must be a number of seconds, not '5'"),
        ("k", "v", 1e30, "the ttl is too long"),
    ],
    ids=range(8),
)
def test_what_cannot_be_stored_is_refused_in_the_same_words(
    a: SensorService, name: Any, value: str, ttl: Any, message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        a.set_value(name, value, ttl=ttl)
    with pytest.raises((TypeError, ValueError), match=message):
        a.compare_and_set(name, None, value, ttl=ttl)
    assert names(a) == []


def test_the_datastore_has_a_service_of_its_own_as_in_stackstorm(a: SensorService) -> None:
    assert a.datastore_service.set_value("k", "v") is True
    assert a.get_value("k") == a.datastore_service.get_value("k") == "v"
    assert [value.name for value in a.datastore_service.list_values()] == ["p.A:k"]
    assert a.datastore_service.delete_value("k") is True


def test_the_scope_has_two_names(a: SensorService) -> None:
    assert a.set_value("k", "v", scope="system", ttl=0) is True
    found = a.get_value("k", scope="st2kv.system")
    assert found is not None
    assert (found, found.expire_timestamp, a.get_value("k", scope="system")) == ("v", None, "v")
    assert a.delete_value("k", scope="system") is True


def test_another_scope_is_refused(a: SensorService) -> None:
    with pytest.raises(ValueError, match=r"scope 'st2kv\.user' is not available to sensors"):
        a.get_value("k", scope="st2kv.user")


def test_a_key_is_there_until_its_time(container: Container, a: SensorService) -> None:
    a.set_value("k", "v", ttl=1.5)
    found = a.get_value("k")
    assert found is not None
    assert found.expire_timestamp is not None
    assert datetime.fromisoformat(found.expire_timestamp).microsecond % 1000 == 0
    assert found.expire_timestamp.endswith("Z")
    container.advance(1.4)
    assert names(a) == ["p.A:k"]
    container.advance(0.2)
    assert a.get_value("k") is None
    assert names(a) == []
    assert a.delete_value("k") is False
    a.set_value("k", "v", ttl=1)
    a.set_value("k", "v")
    container.advance(1e6)
    assert a.get_value("k") == "v"


def test_only_the_expected_value_is_replaced(container: Container, a: SensorService) -> None:
    assert a.compare_and_set("k", "1", "2") is False
    assert a.compare_and_set("k", None, "1", ttl=5) is True
    assert a.compare_and_set("k", None, "2") is False
    assert a.compare_and_set("k", "1", "2", ttl=5) is True
    container.advance(5.1)
    assert a.compare_and_set("k", "2", "3") is False
    assert a.compare_and_set("k", None, 4) is True
    assert a.get_value("k") == "4"
    with pytest.raises(ValueError, match="the expected value must be text"):
        a.compare_and_set("k", "\ud800", "1")


def test_a_secret_is_text_only_where_it_is_decrypted(a: SensorService, b: SensorService) -> None:
    a.set_value("k", "hush", encrypt=True)
    found, text = a.get_value("k"), a.get_value("k", decrypt=True)
    assert found is not None
    assert text is not None
    assert "hush" not in found
    assert (found.secret, found.encrypted) == (True, True)
    assert (text, text.secret, text.encrypted) == ("hush", True, False)
    assert a.list_values() == [found]
    assert a.compare_and_set("k", found, "x") is False
    assert a.compare_and_set("k", "hush", "x") is False
    assert a.compare_and_set("k", None, "x") is False
    assert b.get_value("p.A:k", local=False) == found
    with pytest.raises(DatastoreRefused, match="belongs to another sensor"):
        b.get_value("p.A:k", local=False, decrypt=True)
    assert a.get_value("p.A:k", local=False, decrypt=True) == "hush"
    a.set_value("k", "open")
    assert a.get_value("k") == "open"


def test_triggers_and_cursor_are_both_done_or_neither(container: Container, a: SensorService) -> None:
    events = [("p.t", {"n": 1}), ("p.t", {"n": 2}, "tag")]
    assert a.dispatch_and_set(events, "cursor", 2) is True
    assert a.get_value("cursor") == "2"
    assert container.dispatched() == [Dispatched("p.t", {"n": 1}), Dispatched("p.t", {"n": 2}, "tag")]
    assert a.dispatch_and_set(events, "cursor", 4, expected="1") is False
    assert a.dispatch_and_set(events, "cursor", 4, expected=None) is False
    assert len(container.dispatched()) == 2
    assert a.dispatch_and_set([], "cursor", 4, expected="2") is True
    assert a.dispatch_and_set(events, "shared", 1, local=False, expected=None) is True
    assert (a.get_value("cursor"), a.get_value("shared", local=False)) == ("4", "1")
    assert len(container.dispatched()) == 4


@pytest.mark.parametrize("options", [{"ttl": 60}, {"encrypt": True}], ids=["ttl", "secret"])
def test_triggers_do_not_go_with_a_secret_or_a_ttl(
    container: Container, a: SensorService, options: dict[str, Any]
) -> None:
    a.set_value("k", "v", **options)
    with pytest.raises(DatastoreRefused, match=r"p\.A:k cannot be set together with triggers"):
        a.dispatch_and_set([("p.t", {})], "k", "w")
    for name, value in (("", "v"), ("k", "\ud800")):
        with pytest.raises(ValueError, match="a datastore"):
            a.dispatch_and_set([("p.t", {})], name, value)
    assert container.dispatched() == []
    assert a.get_value("k", decrypt=True) == "v"
