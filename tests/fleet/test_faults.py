from __future__ import annotations

import random

from tests.fleet.faults import DATABASE, KINDS, OF_DATABASE, RECOVERY, Effect, Fault, excused, plan

CONTAINERS = ("c1", "c2", "c3")
LEASE = 5.0


def effect(target: str, begin: float, end: float, kind: str = "kill -9") -> Effect:
    return Effect(fault=Fault(kind=kind, target=target, begin=0, hold=0), span=(begin, end))


def test_a_seed_decides_the_faults() -> None:
    first, again, other = (plan(random.Random(seed), CONTAINERS, 50, 600, LEASE) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_faults_are_of_every_kind_in_order_and_within_the_time() -> None:
    faults = plan(random.Random(0), CONTAINERS, 200, 600, LEASE)
    assert {fault.kind for fault in faults} == set(KINDS)
    begins = [fault.begin for fault in faults]
    assert begins == sorted(begins)
    assert 0 <= begins[0] <= begins[-1] <= 600
    assert all((fault.target == DATABASE) == (fault.kind in OF_DATABASE) for fault in faults)
    assert all(fault.hold > LEASE for fault in faults if fault.kind.startswith("pause"))


def test_a_container_alone_excuses_nothing() -> None:
    assert excused([effect("c1", 10, 20), effect("c2", 30, 40), effect("c2", 41, 50)], LEASE) == []


def test_faults_that_sensors_need_not_notice_excuse_nothing() -> None:
    assert excused([effect("c1", 10, 20), effect("c2", 15, 40, "cut of mq")], LEASE) == []


def test_two_containers_at_once_excuse_what_they_share_and_a_lease() -> None:
    assert excused([effect("c1", 10, 20), effect("c2", 15, 40)], LEASE) == [(15, 25)]


def test_the_database_excuses_until_it_has_recovered() -> None:
    assert excused([effect(DATABASE, 10, 20)], LEASE) == [(10, 20 + RECOVERY)]
