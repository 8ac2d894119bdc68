"""The life of a member, with a clock that stands still unless a test moves it. The leases are real."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from st2sensor.models import Member
from st2sensor.sharing.clocks import Moment
from st2sensor.sharing.held_leases import HeldLeases
from st2sensor.sharing.identity import Identity
from st2sensor.sharing.presence import NOTICE, Announcement, Presence
from st2sensor.sharing.times import times_of
from st2sensor.storage.sqlite import SqliteLeases
from st2sensor.storage.sqlite.connection import Connection

TIMES = times_of(12.0)
NOTHING = Announcement()


class Life:
    """A presence with everything it needs."""

    def __init__(self, folder: Path) -> None:
        self.now = Moment(1000.0, 5000.0)
        self.leases = SqliteLeases(Connection(folder / "st2.db"))
        self.holdings = HeldLeases(lambda: self.now)
        self.ends: list[Moment] = []
        profile = Member(id="", node="one", lease=12.0)
        self.presence = Presence(
            self.leases, profile, self.holdings, Identity(folder / "member.json"), clock=lambda: self.now
        )
        self.presence.extended = lambda: self.ends.append(self.holdings.end)

    def member(self) -> Member:
        found = self.leases.member(self.presence.id)
        assert found is not None
        return found

    def wait(self, seconds: float) -> None:
        self.now = self.now.after(seconds)


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    made = Life(tmp_path)
    assert made.presence.stay(NOTHING) == ""
    yield made
    made.leases.close()


def test_who_joins_holds_its_term_from_before_it_joined(life: Life) -> None:
    assert life.member().counter == 0
    assert life.ends == [life.now.after(TIMES.term)]
    assert life.presence.renew_at == 1000.0 + TIMES.tick


def test_a_renewal_is_made_when_it_is_due_and_not_before(life: Life) -> None:
    life.wait(TIMES.tick * 0.9)
    life.presence.stay(NOTHING)
    assert life.member().counter == 0
    life.wait(TIMES.tick * 0.2)
    life.presence.stay(NOTHING)
    assert life.member().counter == 1
    assert life.holdings.end == life.now.after(TIMES.term)


def test_new_intentions_are_written_at_once_and_known_to_others_a_little_later(life: Life) -> None:
    life.presence.stay(Announcement(handing=True))
    assert (life.member().handing, life.member().leaving) == (True, False)
    assert life.presence.is_announced(alone=True)
    assert not life.presence.is_announced(alone=False)
    life.wait(TIMES.tick * NOTICE)
    assert life.presence.is_announced(alone=False)


def test_clocks_that_disagree_cause_a_renewal_at_once_and_one_warning(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    life.now = replace(life.now, wall=life.now.wall + 60.0)
    life.presence.stay(NOTHING)
    assert life.member().counter == 1
    assert life.holdings.is_certain
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "the wall clock has moved by +60.0 s: it was changed, or this host was paused; the container renews its lease "
        "before it does anything else"
    ]


def test_an_evicted_member_loses_all_and_joins_under_another_id(life: Life) -> None:
    life.holdings.hold({"p.S": 1})
    before = life.presence.id
    life.leases.evict(before, None)
    life.wait(TIMES.tick)
    assert "was taken for dead" in life.presence.stay(NOTHING)
    assert life.presence.id != before
    assert not life.holdings.fences
    assert life.presence.losses == 1
    # The lost id is not evicted again: another container may be running under it.
    assert [member.dead for member in life.leases.members() if member.id == before] == [True]


def test_a_term_that_ended_before_it_was_renewed_is_a_loss(life: Life) -> None:
    life.wait(TIMES.term)
    assert life.presence.stay(NOTHING) == ""
    assert life.presence.losses == 1


def test_a_member_that_still_holds_leases_is_not_forgotten_when_it_closes(tmp_path: Path) -> None:
    for held, left in (({"p.S": 1}, 1), ({}, 0)):
        folder = tmp_path / str(left)
        folder.mkdir()
        life = Life(folder)
        life.presence.stay(NOTHING)
        life.holdings.hold(held)
        life.presence.close()
        leases = SqliteLeases(Connection(folder / "st2.db"))
        assert len(leases.members()) == left
        leases.close()
