"""One suite for members and leases on every storage backend."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pymongo
import pytest

from st2sensor.errors import LeaseLost, StorageUnavailable
from st2sensor.models import Batch, Lease, Member, Renewal
from st2sensor.settings import Database
from st2sensor.storage import open_leases
from st2sensor.storage import open_storage as open_configured
from st2sensor.storage.base import Leases
from tests.backends.test_storage import place
from tests.plugins.patience import SOON

__all__ = ["place"]

A = Member(id="a1", node="a", host="h", pid=7, version="1", capacity=2.0, labels=("gpu", "ssd"), lease=3.0)
B = Member(id="b1", node="b")
BATCH = Batch(id="x", sensor="p.S", name="p.S:cursor", expected=None, value="1", events=({"n": 1},), fence=1)

FIRST, SECOND = Renewal(counter=0, token="first"), Renewal(counter=1, token="second")

Open = Callable[[], Leases]


@pytest.fixture
def database(place: tuple[str, str, str]) -> Database:
    kind, address, name = place
    url = address if kind == "mongo" else f"sqlite://{address}"
    return Database(url=url, name=name, connection_timeout=int(SOON * 1000))


@pytest.fixture
def open_more(database: Database) -> Iterator[Open]:
    opened: list[Leases] = []

    def another() -> Leases:
        opened.append(open_leases(database, SOON))
        return opened[-1]

    yield another
    for leases in opened:
        leases.close()


@pytest.fixture
def leases(open_more: Open) -> Leases:
    opened = open_more()
    opened.prepare()
    return opened


def test_a_member_is_read_as_it_joined(leases: Leases) -> None:
    leases.join(A)
    assert leases.members() == [A]


def test_a_renewal_counts_up_and_tells(leases: Leases) -> None:
    leases.join(A)
    assert leases.renew("a1", Renewal(counter=0, token="t", sensors=5, handing=True))
    (member,) = leases.members()
    assert leases.member("a1") == member
    assert leases.member("b1") is None
    assert (member.counter, member.token, member.sensors, member.handing, member.leaving) == (1, "t", 5, True, False)
    assert member.seen > 0


def test_who_has_renewed_since_it_was_seen_is_not_evicted(leases: Leases) -> None:
    leases.join(A)
    leases.renew("a1", FIRST)
    assert not leases.evict("a1", 0)
    assert leases.renew("a1", SECOND)


def test_only_who_has_seen_the_counter_as_it_is_renews(leases: Leases) -> None:
    leases.join(A)
    assert leases.renew("a1", FIRST)
    assert not leases.renew("a1", replace(FIRST, token="twin"))
    assert not leases.renew("a1", replace(SECOND, counter=2))
    (member,) = leases.members()
    assert (member.counter, member.token) == (1, "first")
    assert leases.renew("a1", SECOND)


def test_of_two_that_renew_at_once_under_one_identity_one_succeeds(open_more: Open, leases: Leases) -> None:
    leases.join(A)
    twins = [open_more() for _ in range(2)]
    for counter in range(20):
        with ThreadPoolExecutor(2) as threads:
            done = list(threads.map(lambda twin: twin.renew("a1", Renewal(counter=counter, token="t")), twins))  # noqa: B023
        assert sorted(done) == [False, True]


def test_who_is_evicted_cannot_renew_any_more(leases: Leases) -> None:
    leases.join(A)
    assert leases.evict("a1", 0)
    assert not leases.evict("a1", 0)
    assert not leases.renew("a1", FIRST)
    assert [member.dead for member in leases.members()] == [True]


def test_one_that_is_known_to_be_dead_is_evicted_whatever_its_counter(leases: Leases) -> None:
    leases.join(A)
    leases.renew("a1", FIRST)
    assert leases.evict("a1", None)
    assert not leases.evict("nobody", None)


def test_a_member_that_is_forgotten_is_gone(leases: Leases) -> None:
    leases.join(A)
    leases.join(B)
    leases.forget("a1")
    assert [member.id for member in leases.members()] == ["b1"]
    assert not leases.renew("a1", FIRST)


def test_a_lease_that_nobody_ever_took_is_taken_with_fence_1(leases: Leases) -> None:
    taken = leases.take([Lease(sensor="p.S")], "a1")
    assert taken == [Lease(sensor="p.S", holder="a1", fence=1)] == leases.leases()


def test_a_lease_is_not_taken_from_what_it_is_not_any_more(leases: Leases) -> None:
    leases.take([Lease(sensor="p.S"), Lease(sensor="p.T")], "a1")
    seen_before = [Lease(sensor="p.S"), Lease(sensor="p.T", holder="a1", fence=1), Lease(sensor="p.U")]
    assert {lease.sensor for lease in leases.take(seen_before, "b1")} == {"p.T", "p.U"}
    assert {(lease.sensor, lease.holder, lease.fence) for lease in leases.leases()} == {
        ("p.S", "a1", 1),
        ("p.T", "b1", 2),
        ("p.U", "b1", 1),
    }


def test_a_fence_only_grows_through_release_and_take(leases: Leases) -> None:
    free = [Lease(sensor="p.S")]
    for fence in range(1, 5):
        (taken,) = leases.take(free, f"m{fence}")
        assert taken.fence == fence
        leases.release({"p.S": fence}, "somebody else")
        leases.release({"p.S": fence - 1}, f"m{fence}")
        assert leases.leases()[0].holder == f"m{fence}"
        leases.release({"p.S": fence}, f"m{fence}")
        free = leases.free(())
    assert free == [Lease(sensor="p.S", fence=4)]


def test_free_leases_are_those_of_nobody_and_of_the_dead(leases: Leases) -> None:
    leases.take([Lease(sensor="p.S")], "a1")
    leases.take([Lease(sensor="p.T")], "b1")
    leases.take([Lease(sensor="p.U")], "b1")
    leases.release({"p.U": 1}, "b1")
    assert {lease.sensor for lease in leases.free(())} == {"p.U"}
    assert {lease.sensor for lease in leases.free({"a1"})} == {"p.S", "p.U"}
    assert {lease.sensor for lease in leases.leases("b1")} == {"p.T"}


def test_of_many_that_take_one_lease_at_once_one_has_it(leases: Leases, open_more: Open) -> None:
    names = [f"m{number}" for number in range(8)]
    everybody = threading.Barrier(len(names), timeout=SOON)
    won: list[str] = []

    def take(name: str, opened: Leases) -> None:
        for sensor in range(10):
            everybody.wait()
            won.extend(f"{lease.sensor}" for lease in opened.take([Lease(sensor=f"p.S{sensor}")], name))

    threads = [threading.Thread(target=take, args=(name, open_more())) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == sorted(f"p.S{number}" for number in range(10))
    assert {lease.fence for lease in leases.leases()} == {1}


def test_drained_nodes_are_remembered_until_they_are_not(leases: Leases, open_more: Open) -> None:
    leases.drain("a", True)
    leases.drain("b", True)
    leases.drain("b", False)
    assert open_more().drained() == {"a"}


def test_a_batch_is_stored_under_the_fence_of_its_lease_alone(leases: Leases, database: Database) -> None:
    storage = open_configured(database)
    storage.prepare()
    with pytest.raises(LeaseLost):
        storage.put_batch(BATCH)
    leases.take([Lease(sensor="p.S")], "a1")
    assert storage.put_batch(BATCH) is None
    assert leases.leases()[0].has_batches
    leases.take(leases.leases(), "b1")
    assert storage.batches("p.S") == [BATCH]
    storage.remove_batch(BATCH)
    with pytest.raises(LeaseLost):
        storage.put_batch(BATCH)
    assert storage.batches() == []
    storage.close()


def test_a_batch_without_a_fence_needs_no_lease_and_leaves_it_alone(leases: Leases, database: Database) -> None:
    storage = open_configured(database)
    storage.prepare()
    unshared = Batch(id="x", sensor="p.S", name="n", expected=None, value="1", events=())
    assert storage.put_batch(unshared) is None
    storage.remove_batch(unshared)
    assert leases.free(()) == [Lease(sensor="p.S")]
    (taken,) = leases.take(leases.free(()), "a1")
    assert (taken.fence, taken.has_batches) == (1, False)
    assert storage.put_batch(unshared) is None
    storage.close()


def test_a_database_that_cannot_be_reached_is_unavailable() -> None:
    nowhere = Database(url="mongodb://127.0.0.1:1/", name="x", connection_timeout=100)
    leases = open_leases(nowhere, 0.2)
    with pytest.raises(StorageUnavailable):
        leases.members()
    leases.close()


def test_a_node_whose_setting_is_no_boolean_is_not_drained_and_reported(
    leases: Leases, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    if database.url.startswith("sqlite"):
        pytest.skip("no other program writes to the embedded database")
    with pymongo.MongoClient[dict[str, Any]](database.url) as client:
        client[database.name]["st2sensor_nodes"].insert_one({"_id": "a", "drained": "yes"})
    assert leases.drained() == frozenset()
    assert "collection st2sensor_nodes, document a: drained is text" in caplog.text
