"""Containers that run the same sensors of the same database: who is warned, and who is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from st2sensor.container.desired.snapshot import Snapshot
from st2sensor.container.duplicates import HEADER, MAX_MARKS, Duplicates, Introduction
from st2sensor.container.lifetime import Lifetime
from st2sensor.container.targets import Targets
from st2sensor.transport.base import Message
from tests.support.supervised_node import sensor_type


class Site:
    """A container whose messages reach the others of a test through `pass_on`."""

    def __init__(
        self, name: str, *refs: str, database: str = "1", state_dir: str = "", introduces: bool = True
    ) -> None:
        self.unsaid: list[Mapping[str, str]] = []
        self.targets = Targets(asyncio.Event())
        self.lifetime = Lifetime(asyncio.Event(), only=False)
        self.database = database
        self.content = refs
        """The sensors that storage will return."""
        introduction = Introduction(
            container=name, node="n", host="h", process=7, state_dir=state_dir or f"/var/lib/{name}/state"
        )
        self.duplicates = Duplicates(
            introduction,
            self.targets,
            self.lifetime,
            introduces=introduces,
            refresh=self.refresh,
            introduce=self.unsaid.append,
            answer=self.unsaid.append,
        )
        self.learn()

    def learn(self) -> None:
        sensors = {ref: replace(sensor_type(ref), id=f"{self.database}-{ref}") for ref in self.content}
        self.targets.learn(Snapshot(sensors=sensors))

    async def refresh(self) -> None:
        self.learn()


def message(headers: Mapping[str, Any]) -> Message:
    return Message(
        exchange="e", routing_key="r", body=b"", content_type="t", content_encoding="c", headers=dict(headers)
    )


def pass_on(*sites: Site) -> None:
    """Deliver everything that the sites say to all of them, until nobody says anything."""

    async def deliver() -> None:
        while any(site.unsaid for site in sites):
            said = [headers for site in sites for headers in site.unsaid]
            for site in sites:
                site.unsaid.clear()
            for headers in said:
                for site in sites:
                    site.duplicates.hear(message(headers))
            for site in sites:
                await site.duplicates._tasks.wait(1.0)

    asyncio.run(deliver())


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_both_containers_are_warned_once_of_the_sensors_that_both_run(caplog: pytest.LogCaptureFixture) -> None:
    old, new = Site("old", "p.A", "p.B"), Site("new", "p.B", "p.C")
    pass_on(old, new)
    assert len(warnings(caplog)) == 2
    first, second = sorted(warnings(caplog))
    assert "everything happens twice: p.B; it is process 7 on h, node n, with state_dir /var/lib/new/state" in first
    assert "state_dir /var/lib/old/state; stop one of the two, or let them share" in second
    new.content = ("p.B", "p.C", "p.D")
    new.learn()
    assert new.unsaid
    pass_on(old, new)
    assert len(warnings(caplog)) == 2


def test_an_old_container_answers_a_new_one_which_says_nothing_more(caplog: pytest.LogCaptureFixture) -> None:
    old = Site("old", "p.A")
    old.unsaid.clear()
    new = Site("new", "p.A")
    pass_on(old, new)
    assert len(warnings(caplog)) == 2


def test_sensors_of_another_database_or_another_partition_are_no_duplicates(caplog: pytest.LogCaptureFixture) -> None:
    pass_on(Site("a", "p.A"), Site("b", "p.A", database="2"), Site("c", "p.B"))
    assert warnings(caplog) == []


def test_a_sensor_that_has_moved_to_the_other_container_is_no_duplicate(caplog: pytest.LogCaptureFixture) -> None:
    before, after = Site("before", "p.A"), Site("after", "p.A")
    before.unsaid.clear()
    before.content = ()
    pass_on(before, after)
    assert warnings(caplog) == []


def test_a_container_that_is_stopping_does_not_count(caplog: pytest.LogCaptureFixture) -> None:
    old, new = Site("old", "p.A"), Site("new", "p.A")
    old.unsaid.clear()
    old.lifetime.stop()
    pass_on(old, new)
    assert warnings(caplog) == []


def test_containers_that_share_sensors_introduce_themselves_to_nobody_but_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shared = Site("shared", "p.A", introduces=False)
    assert shared.unsaid == []
    pass_on(shared, Site("alone", "p.A"))
    assert len(warnings(caplog)) == 2


def test_one_sensor_alone_in_a_folder_of_the_daemon_is_left_to_its_own_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pass_on(Site("daemon", "p.A", state_dir="/s"), Site("only", "p.A", state_dir="/s/p.A"))
    assert warnings(caplog) == []


def test_a_warning_names_a_few_sensors_and_a_message_has_a_limit(caplog: pytest.LogCaptureFixture) -> None:
    refs = [f"p.S{number}" for number in range(MAX_MARKS + 5)]
    one, two = Site("one", *refs), Site("two", *refs)
    assert len(json.loads(one.unsaid[0][HEADER])["marks"]) == MAX_MARKS
    pass_on(one, two)
    assert len(warnings(caplog)) == 2
    assert all(f"and {MAX_MARKS - 3} more; it is" in text for text in warnings(caplog))


GOOD = {"container": "x", "node": "n", "host": "h", "process": 1, "state_dir": "/x", "marks": [], "answers": ""}


@pytest.mark.parametrize(
    "header",
    [
        *(None, 5, "", "[", "[]", "[" * 100_000, json.dumps({})),
        json.dumps(GOOD | {"process": "1"}),
        json.dumps(GOOD | {"marks": [1]}),
        json.dumps(GOOD | {"node": "n" * 1000}),
    ],
)
def test_messages_of_other_programs_are_ignored(header: object, caplog: pytest.LogCaptureFixture) -> None:
    Site("here", "p.A").duplicates.hear(message({HEADER: header}))
    assert warnings(caplog) == []
