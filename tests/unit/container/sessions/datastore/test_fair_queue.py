"""The queue in which no owner has more than its share of items worked on at a time."""

from __future__ import annotations

import threading

from st2sensor.container.sessions.datastore.fair_queue import FairQueue
from tests.plugins.patience import SOON
from tests.support.servers.waiting import eventually


def test_owners_keep_their_own_order_and_who_has_much_is_not_before_others() -> None:
    queue: FairQueue[str] = FairQueue(share=1)
    for number in range(3):
        queue.put("a", f"a{number}")
    queue.put("b", "b0")
    taken = []
    for owner in "abaa":
        taken.append(queue.get())
        queue.done(owner)
    assert taken == ["a0", "b0", "a1", "a2"]


def test_nothing_is_kept_of_an_owner_that_has_nothing_left() -> None:
    queue: FairQueue[str] = FairQueue(share=2)
    for number in range(300):
        queue.put(f"owner{number % 7}", f"owner{number % 7}")
    for _ in range(300):
        owner = queue.get()
        assert owner is not None
        queue.done(owner)
    assert (queue._waiting, list(queue._turns), queue._working) == ({}, [], {})


def test_more_than_its_share_of_one_owner_waits_though_nobody_else_wants_anything() -> None:
    queue: FairQueue[str] = FairQueue(share=2)
    for number in range(3):
        queue.put("a", f"a{number}")
    assert [queue.get(), queue.get()] == ["a0", "a1"]
    queue.put("b", "b0")
    assert queue.get() == "b0"
    third: list[str | None] = []
    waits = threading.Thread(target=lambda: third.append(queue.get()))
    waits.start()
    assert third == []
    queue.done("a")
    waits.join(SOON)
    assert third == ["a2"]


def test_it_says_when_nobody_is_there_to_take_an_item() -> None:
    queue: FairQueue[str] = FairQueue(share=2)
    assert queue.put("a", "a0")
    assert queue.get() == "a0"
    assert queue.put("a", "a1")
    # The owner has its share by then: another thread would find nothing.
    assert queue.get() == "a1"
    assert not queue.put("a", "a2")


def test_what_was_put_is_given_out_before_the_end() -> None:
    queue: FairQueue[str] = FairQueue(share=1)
    queue.put("a", "a0")
    queue.put("a", "a1")
    queue.close()
    found: list[str] = []

    def take_all() -> None:
        while (item := queue.get()) is not None:
            found.append(item)
            queue.done("a")

    threads = [threading.Thread(target=take_all) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
        assert not thread.is_alive()
    assert found == ["a0", "a1"]


def test_an_item_wakes_one_thread_the_one_that_began_to_wait_last() -> None:
    queue: FairQueue[str] = FairQueue(share=2)
    found: list[tuple[str, str | None]] = []
    threads = []
    for name in ("first", "last"):
        thread = threading.Thread(target=lambda name=name: found.append((name, queue.get())))
        thread.start()
        threads.append(thread)
        eventually(f"{name} waits", lambda: len(queue._takers) == len(threads))
    first, last = threads
    assert not queue.put("a", "a0")
    last.join(SOON)
    assert (found, first.is_alive(), len(queue._takers)) == ([("last", "a0")], True, 1)
    queue.close()
    first.join(SOON)
    assert found == [("last", "a0"), ("first", None)]
