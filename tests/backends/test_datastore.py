"""The datastore as sensors see it, on every storage backend."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from st2sensor.datastore.keyring import Keyring
from st2sensor.datastore.sensor_keys import SensorKeys
from st2sensor.errors import DatastoreError, DatastoreRefused, StorageUnavailable
from st2sensor.models import SYSTEM_SCOPE, Change
from st2sensor.portable import crypto
from st2sensor.portable.keyspace import NAME_LIMIT, VALUE_LIMIT, Asker
from st2sensor.settings import KeyValues
from st2sensor.storage.base import Storage
from st2sensor.storage.mongo import MongoStorage
from tests.backends.test_storage import open_storage, place, storage
from tests.plugins.examples import examples
from tests.plugins.patience import LATER, SOON

__all__ = ["open_storage", "place", "storage"]

A, B = Asker(sensor="p.A"), Asker(sensor="p.B")

AWKWARD = [
    *("a", " ", "a b", "a:b", ":", "::", "p.B:key", ".", "..", "$set", "a.$b", "%", "_", "*", "\\", "/", "'", '"', "`"),
    *("\0", "a\0b", "\n", "\t", "\x7f", "ż", "☃", "e\u0301", "é", "\u202e", "\ufeff", "\U0001f600", "\U0010ffff"),
    *("null", "None", "0", "{}", "{{ st2kv.system.x }}", "__proto__", "x" * (NAME_LIMIT - 4)),
]


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 31, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Sees:
    """The datastore with the arguments that SensorService has by default."""

    def __init__(self, datastore: SensorKeys) -> None:
        self.datastore = datastore

    def get(self, asker: Asker, name: str, *, local: bool = True, decrypt: bool = False) -> str | None:
        found = self.datastore.get(asker, name, local=local, scope=SYSTEM_SCOPE, decrypt=decrypt)
        return None if found is None else found.entry.value

    def set(
        self, asker: Asker, name: str, value: Any, *, local: bool = True, ttl: Any = None, encrypt: bool = False
    ) -> Change:
        return self.datastore.set(asker, name, value, local=local, scope=SYSTEM_SCOPE, ttl=ttl, encrypt=encrypt)

    def swap(self, asker: Asker, name: str, expected: str | None, value: str, *, ttl: float | None = None) -> bool:
        return self.datastore.compare_and_set(asker, name, expected, value, local=True, ttl=ttl) is not None

    def delete(self, asker: Asker, name: str, *, local: bool = True) -> bool:
        return self.datastore.delete(asker, name, local=local, scope=SYSTEM_SCOPE) is not None

    def names(self, asker: Asker, *, local: bool = True, prefix: str | None = None, **page: int) -> list[str]:
        options: dict[str, Any] = {"limit": None, "offset": 0, **page}
        return [found.entry.name for found in self.datastore.list(asker, local=local, prefix=prefix, **options)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make_key(tmp_path / "key.json")


def make_key(path: Path) -> Path:
    path.write_text(crypto.generate())
    path.chmod(0o600)
    return path


def keyring(path: Path, *previous: Path, enabled: bool = True) -> Keyring:
    return Keyring(KeyValues(enable_encryption=enabled, encryption_key_path=path, previous_key_paths=previous))


@pytest.fixture
def sees(storage: Storage, key: Path, clock: Clock) -> Sees:
    return Sees(SensorKeys(storage, keyring(key), clock))


def test_local_names_are_a_sensors_own_and_global_ones_are_shared(sees: Sees, storage: Storage, clock: Clock) -> None:
    sees.set(A, "key", "a")
    sees.set(B, "key", "b")
    sees.set(A, "key", "everybody's", local=False)
    assert (sees.get(A, "key"), sees.get(B, "key")) == ("a", "b")
    assert sees.get(B, "key", local=False) == "everybody's"
    assert sees.get(Asker(sensor="p.C"), "key") is None
    stored = storage.list_values(SYSTEM_SCOPE, "", clock.now)
    assert [item.name for item in stored] == ["key", "p.A:key", "p.B:key"]


def test_a_list_is_of_ones_own_or_of_all_by_prefix_and_in_pages(sees: Sees) -> None:
    for name in ("x.1", "x.2", "y"):
        sees.set(A, name, "local")
        sees.set(A, name, "global", local=False)
    assert sees.names(A, prefix="x.") == ["p.A:x.1", "p.A:x.2"]
    assert len(sees.names(A)) == 3
    assert sees.names(A, local=False, prefix="x.") == ["x.1", "x.2"]
    assert sees.names(A, limit=1, offset=1) == ["p.A:x.2"]
    with pytest.raises(ValueError, match=r"limit must be a whole number from 0 to .*, not -1"):
        sees.names(A, limit=-1)


def test_delete_tells_whether_there_was_something(sees: Sees) -> None:
    sees.set(A, "key", "a")
    assert sees.delete(A, "key")
    assert not sees.delete(A, "key")


@pytest.mark.parametrize("name", AWKWARD, ids=ascii)
def test_any_text_is_a_name(sees: Sees, name: str) -> None:
    sees.set(A, name, "mine")
    sees.set(B, name, "yours")
    assert sees.get(A, name) == "mine"
    assert sees.names(A) == [f"p.A:{name}"]
    assert sees.swap(A, name, "mine", "still mine")
    assert sees.delete(A, name)
    assert sees.get(A, name) is None
    assert sees.get(B, name) == "yours"


@pytest.mark.parametrize("value", ["", "☃\0\n", "x" * 1024 * 1024, "ż" * 512 * 1024, "{'a': [1, None]}"], ids=len)
@pytest.mark.parametrize("encrypt", [False, True])
def test_any_text_is_a_value(sees: Sees, value: str, encrypt: bool) -> None:
    sees.set(A, "k", value, encrypt=encrypt)
    assert sees.get(A, "k", decrypt=True) == value


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("", "", "non-empty string"),
        (None, "", "non-empty string"),
        (5, "", "non-empty string"),
        ("\ud800", "", "UTF-8"),
        ("x" * NAME_LIMIT, "", "1028 bytes is too long: the limit is 1024"),
        ("k", "\ud800", "UTF-8"),
        ("k", "x" * (VALUE_LIMIT + 1), "4194305 bytes is too long: the limit is 4194304"),
    ],
    ids=ascii,
)
def test_what_cannot_be_stored_is_refused_and_says_why(sees: Sees, name: Any, value: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        sees.set(A, name, value)
    assert sees.names(A) == []


def test_another_scope_is_refused(sees: Sees) -> None:
    with pytest.raises(ValueError, match=r"scope 'st2kv\.user'"):
        sees.datastore.get(A, "k", local=True, scope="st2kv.user", decrypt=False)


# Time to live.


def test_the_scope_has_two_names(sees: Sees) -> None:
    store = sees.datastore
    store.set(A, "k", "v", local=True, scope="system", ttl=None, encrypt=False)
    for scope in ("system", "st2kv.system"):
        found = store.get(A, "k", local=True, scope=scope, decrypt=False)
        assert found is not None
        assert (found.entry.value, found.entry.scope) == ("v", "st2kv.system")
    assert store.delete(A, "k", local=True, scope="system") is not None
    assert store.get(A, "k", local=True, scope="st2kv.system", decrypt=False) is None


@pytest.mark.parametrize("ttl", [1, 60, 0.5, 0.001, 1.0004])
def test_a_key_is_there_until_its_time_and_not_a_moment_longer(sees: Sees, clock: Clock, ttl: float) -> None:
    change = sees.set(A, "k", "v", ttl=ttl)
    assert change.new is not None
    assert change.new.expire_timestamp is not None
    lives = change.new.expire_timestamp - clock.now
    assert timedelta(seconds=ttl) <= lives <= timedelta(seconds=ttl + 0.001)
    clock.now = change.new.expire_timestamp - timedelta(microseconds=1)
    assert sees.get(A, "k") == "v"
    assert sees.names(A) == ["p.A:k"]
    clock.now = change.new.expire_timestamp
    assert sees.get(A, "k") is None
    assert sees.names(A) == []
    assert not sees.delete(A, "k")


def test_a_set_without_ttl_clears_it(sees: Sees, clock: Clock) -> None:
    sees.set(A, "k", "v", ttl=1)
    sees.set(A, "k", "v")
    clock.advance(1e9)
    assert sees.get(A, "k") == "v"


@pytest.mark.parametrize("ttl", [0, 0.0, None])
def test_a_ttl_of_nothing_makes_a_key_that_stays(sees: Sees, clock: Clock, ttl: float | None) -> None:
    sees.set(A, "k", "v", ttl=1)
    change = sees.set(A, "k", "v", ttl=ttl)
    assert change.new is not None
    assert change.new.expire_timestamp is None
    assert sees.swap(A, "k", "v", "w", ttl=ttl)
    clock.now += timedelta(days=10_000)
    assert sees.get(A, "k") == "w"


@pytest.mark.parametrize("ttl", [-1, -0.001, float("nan"), float("inf"), 1e30, "5", True], ids=repr)
def test_a_ttl_that_is_none_is_refused(sees: Sees, ttl: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="ttl"):
        sees.set(A, "k", "v", ttl=ttl)
    assert sees.get(A, "k") is None


def test_expiry_goes_by_the_real_clock_too(storage: Storage, key: Path) -> None:
    sees = Sees(SensorKeys(storage, keyring(key)))
    change = sees.set(A, "k", "v", ttl=0.2)
    assert change.new is not None
    assert change.new.expire_timestamp is not None
    while datetime.now(UTC) < change.new.expire_timestamp:
        found = sees.get(A, "k")
        assert found == "v" or datetime.now(UTC) >= change.new.expire_timestamp
    assert sees.get(A, "k") is None


# Comparing.


def test_only_the_expected_value_is_replaced(sees: Sees, clock: Clock) -> None:
    assert not sees.swap(A, "k", "1", "2")
    assert sees.swap(A, "k", None, "1", ttl=5)
    assert not sees.swap(A, "k", None, "2")
    assert not sees.swap(A, "k", "0", "2")
    assert sees.swap(A, "k", "1", "2", ttl=5)
    clock.advance(5)
    assert not sees.swap(A, "k", "2", "3")
    assert sees.swap(A, "k", None, "4")
    assert sees.get(A, "k") == "4"


@pytest.mark.parametrize("expected", [{"$ne": "x"}, 42, "\ud800"], ids=ascii)
def test_only_text_can_be_expected(sees: Sees, expected: Any) -> None:
    sees.set(A, "k", "42")
    with pytest.raises((TypeError, ValueError), match="expected"):
        sees.swap(A, "k", expected, "1")
    assert sees.get(A, "k") == "42"


@pytest.mark.parametrize(
    "options", [{"prefix": 5}, {"prefix": "\ud800"}, {"limit": 10**30}, {"offset": None}, {"offset": -1}], ids=ascii
)
def test_what_cannot_be_a_page_is_refused(sees: Sees, options: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match=r"prefix|limit|offset"):
        sees.datastore.list(A, **{"local": True, "prefix": None, "limit": None, "offset": 0, **options})


def test_setting_and_deleting_one_key_at_once_never_fails(sees: Sees) -> None:
    with ThreadPoolExecutor(8) as threads:

        def repeat(call: Callable[[], object]) -> None:
            for _ in range(50):
                call()

        calls = [lambda: sees.set(A, "k", "v"), lambda: sees.delete(A, "k")] * 4
        for done in [threads.submit(repeat, call) for call in calls]:
            done.result()


INCREMENT = """
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from st2sensor.datastore.sensor_keys import SensorKeys
from st2sensor.portable.keyspace import Asker
from st2sensor.storage.mongo import MongoStorage
from st2sensor.storage.sqlite import SqliteStorage
from tests.plugins.examples import examples

kind, place, name, processes, times = sys.argv[1:]


def increment():
    storage = SqliteStorage(Path(place)) if kind == "sqlite" else MongoStorage(place, database=name, timeout=TIMEOUT)
    datastore = SensorKeys(storage, None)
    done = 0
    while done < int(times):
        found = datastore.get(Asker(sensor="p.A"), "n", local=True, scope="st2kv.system", decrypt=False)
        value = found and found.entry.value
        change = datastore.compare_and_set(
            Asker(sensor="p.A"), "n", value, str(int(value or 0) + 1), local=True, ttl=None
        )
        done += change is not None


for _ in range(int(processes)):
    if not os.fork():
        increment()
        os._exit(0)
sys.exit(any(os.wait()[1] for _ in range(int(processes))))
""".replace("TIMEOUT", f"{SOON:g}")


def test_eight_processes_on_one_key_lose_nothing(storage: Storage, place: tuple[str, str, str]) -> None:
    subprocess.run([sys.executable, "-c", INCREMENT, *place, "8", "20"], check=True, timeout=LATER)
    found = storage.get_value(SYSTEM_SCOPE, "p.A:n", datetime.now(UTC))
    assert found is not None
    assert found.value == "160"


# Any sequence of operations, against a model.

NAMES = st.sampled_from(["a", "ab", "b", "a.", "p.A:a", "☃"])
VALUES = st.sampled_from(["", "1", "2", "☃"])
TTLS = st.sampled_from([None, None, 1, 2.5])
ASKERS = st.sampled_from([A, B])
OPERATIONS = st.one_of(
    st.tuples(st.just("set"), ASKERS, NAMES, VALUES, TTLS, st.booleans()),
    st.tuples(st.just("get"), ASKERS, NAMES),
    st.tuples(st.just("delete"), ASKERS, NAMES),
    st.tuples(st.just("swap"), ASKERS, NAMES, st.one_of(st.none(), VALUES), VALUES, TTLS),
    st.tuples(st.just("names"), ASKERS, st.sampled_from(["", "a", "p"])),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 1.0, 3.0])),
)


class Model:
    """A dict of (value, secret, expiry)."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.entries: dict[tuple[str, str], tuple[str, bool, datetime | None]] = {}

    def live(self, asker: Asker, name: str) -> tuple[str, bool] | None:
        value, secret, expires = self.entries.get((asker.sensor, name), ("", False, self.clock.now))
        return None if expires is not None and expires <= self.clock.now else (value, secret)

    def put(self, asker: Asker, name: str, value: str, ttl: float | None, secret: bool = False) -> None:
        expires = None if ttl is None else self.clock.now + timedelta(seconds=ttl)
        self.entries[asker.sensor, name] = (value, secret, expires)

    def swap(self, asker: Asker, name: str, expected: str | None, value: str, ttl: float | None) -> bool:
        current = self.live(asker, name)
        if current != (None if expected is None else (expected, False)):
            return False
        self.put(asker, name, value, ttl)
        return True

    def delete(self, asker: Asker, name: str) -> bool:
        was = self.live(asker, name) is not None
        self.entries.pop((asker.sensor, name), None)
        return was

    def names(self, asker: Asker, prefix: str) -> list[str]:
        mine = [name for sensor, name in self.entries if sensor == asker.sensor and self.live(asker, name)]
        return sorted(f"{asker.sensor}:{name}" for name in mine if name.startswith(prefix))


UNHEALTHY = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=examples(40), deadline=None, suppress_health_check=UNHEALTHY)
@given(st.lists(OPERATIONS, max_size=25))
def test_any_sequence_does_what_a_model_does(
    storage: Storage, key: Path, clock: Clock, operations: list[tuple[Any, ...]]
) -> None:
    for entry in storage.list_values(SYSTEM_SCOPE, "", clock.now):
        storage.remove_value(SYSTEM_SCOPE, entry.name, clock.now)
    clock.advance(10)
    sees, model = Sees(SensorKeys(storage, keyring(key), clock)), Model(clock)
    for what, *arguments in operations:
        if what == "wait":
            clock.advance(*arguments)
        elif what == "set":
            asker, name, value, ttl, secret = arguments
            sees.set(asker, name, value, ttl=ttl, encrypt=secret)
            model.put(asker, name, value, ttl, secret)
        elif what == "get":
            current = model.live(*arguments)
            assert sees.get(*arguments, decrypt=True) == (None if current is None else current[0])
        elif what == "delete":
            assert sees.delete(*arguments) == model.delete(*arguments)
        elif what == "swap":
            asker, name, expected, value, ttl = arguments
            assert sees.swap(asker, name, expected, value, ttl=ttl) == model.swap(asker, name, expected, value, ttl)
        else:
            asker, prefix = arguments
            assert sees.names(asker, prefix=prefix) == model.names(asker, prefix)


# Secrets.


def test_a_secret_is_stored_as_ciphertext_and_read_as_either(sees: Sees, storage: Storage, clock: Clock) -> None:
    sees.set(A, "k", "hush", encrypt=True)
    stored = storage.get_value(SYSTEM_SCOPE, "p.A:k", clock.now)
    assert stored is not None
    assert stored.secret
    assert "hush" not in stored.value
    assert sees.get(A, "k") == stored.value
    assert sees.get(A, "k", decrypt=True) == "hush"
    found = sees.datastore.list(A, local=True, prefix=None, limit=None, offset=0)
    assert [(item.entry.value, item.encrypted) for item in found] == [(stored.value, True)]
    sees.set(A, "k", "open")
    assert sees.get(A, "k", decrypt=True) == "open"


def test_an_earlier_key_still_reads(storage: Storage, tmp_path: Path, clock: Clock) -> None:
    old, new = make_key(tmp_path / "old"), make_key(tmp_path / "new")
    Sees(SensorKeys(storage, keyring(old), clock)).set(A, "k", "hush", encrypt=True)
    assert Sees(SensorKeys(storage, keyring(new, old), clock)).get(A, "k", decrypt=True) == "hush"
    with pytest.raises(DatastoreError, match=r"the secret p\.A:k cannot be decrypted: .*a key other than those"):
        Sees(SensorKeys(storage, keyring(new), clock)).get(A, "k", decrypt=True)


def test_an_earlier_key_that_is_gone_matters_only_where_it_is_needed(
    storage: Storage, tmp_path: Path, clock: Clock
) -> None:
    old, new = make_key(tmp_path / "old"), make_key(tmp_path / "new")
    Sees(SensorKeys(storage, keyring(old), clock)).set(A, "old", "hush", encrypt=True)
    sees = Sees(SensorKeys(storage, keyring(new, old), clock))
    sees.set(A, "new", "hush", encrypt=True)
    old.unlink()
    assert sees.get(A, "new", decrypt=True) == "hush"
    with pytest.raises(DatastoreError, match=r"\[keyvalue\] previous_key_paths: there is no key at .*old"):
        sees.get(A, "old", decrypt=True)


def test_a_key_that_was_replaced_is_read_again(sees: Sees, key: Path) -> None:
    sees.set(A, "k", "hush", encrypt=True)
    key.unlink()
    make_key(key)
    with pytest.raises(DatastoreError, match="a key other than those"):
        sees.get(A, "k", decrypt=True)


def test_without_a_usable_key_the_error_names_option_and_remedy(
    storage: Storage, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "key.json"
    sees = Sees(SensorKeys(storage, keyring(path), clock))
    for text, reason in [
        (None, r"there is no key at .*; make one with st2-generate-symmetric-crypto-key --key-path"),
        ("", "is not a key: it is not JSON"),
        ("{}", "aesKeyString, mode or hmacKey with hmacKeyString is missing"),
        ("\xff", "is not a key"),
    ]:
        if text is not None:
            path.write_bytes(text.encode("latin-1"))
        with pytest.raises(DatastoreError, match=rf"\[keyvalue\] encryption_key_path: .*{reason}"):
            sees.set(A, "k", "v", encrypt=True)
    disabled = Sees(SensorKeys(storage, keyring(path, enabled=False), clock))
    with pytest.raises(DatastoreError, match=r"\[keyvalue\] enable_encryption is false"):
        disabled.set(A, "k", "v", encrypt=True)
    make_key(path).chmod(0o644)
    sees.set(A, "k", "v", encrypt=True)
    sees.set(A, "k", "v", encrypt=True)
    assert [record.getMessage() for record in caplog.records] == [
        f"[keyvalue] encryption_key_path: others may read the key {path}; run: chmod 600 {path}"
    ]


# What sensors may do.


@pytest.mark.parametrize("name", ["p.B:key", "p.B:", "x.y:z", "p.B:p.A:key"])
def test_nobody_names_his_way_into_anothers_keys(sees: Sees, name: str) -> None:
    with pytest.raises(DatastoreRefused, match="belongs to that sensor"):
        sees.set(A, name, "mine", local=False)
    with pytest.raises(DatastoreRefused, match="belongs to that sensor"):
        sees.delete(A, name, local=False)
    with pytest.raises(DatastoreRefused, match="belongs to that sensor"):
        sees.datastore.compare_and_set(A, name, None, "mine", local=False, ttl=None)
    assert sees.names(A, local=False) == []


@pytest.mark.parametrize("name", ["db.example.com:port", "10.0.0.1:token", ":", "a:b.c", "a.1b:c"])
def test_what_has_not_the_form_of_a_sensors_key_is_everybodys(sees: Sees, name: str) -> None:
    sees.set(A, name, "ours", local=False)
    assert sees.get(B, name, local=False) == "ours"


def test_anothers_secret_is_not_decrypted(sees: Sees) -> None:
    sees.set(B, "k", "hush", encrypt=True)
    with pytest.raises(DatastoreRefused, match="belongs to another sensor"):
        sees.get(A, "p.B:k", local=False, decrypt=True)
    assert sees.get(B, "p.B:k", local=False, decrypt=True) == "hush"


def test_an_operator_can_deny_what_is_global(sees: Sees) -> None:
    sees.set(A, "shared", "hush", local=False, encrypt=True)
    denied = replace(A, writes_global=False, decrypts_global=False)
    with pytest.raises(DatastoreRefused, match="global_write is deny"):
        sees.delete(denied, "shared", local=False)
    with pytest.raises(DatastoreRefused, match="global_write is deny"):
        sees.set(denied, "shared", "x", local=False)
    with pytest.raises(DatastoreRefused, match="decrypt_global is deny"):
        sees.get(denied, "shared", local=False, decrypt=True)
    sees.set(denied, "k", "mine", encrypt=True)
    assert sees.get(denied, "k", decrypt=True) == "mine"


def test_a_database_that_is_away_is_unavailable_and_nothing_else(key: Path) -> None:
    storage = MongoStorage("mongodb://127.0.0.1:1", database="x", timeout=0.2)
    sees = Sees(SensorKeys(storage, keyring(key)))
    for call in (lambda: sees.get(A, "k"), lambda: sees.set(A, "k", "v"), lambda: sees.delete(A, "k")):
        with pytest.raises(StorageUnavailable, match="cannot reach MongoDB"):
            call()
    storage.close()
