"""The courses of events from the outbox to the broker, as the history records them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from st2sensor.delivery.courses import FAILED_LIMIT, Courses, buried
from st2sensor.delivery.messages import LATE
from st2sensor.errors import BrokerUnavailable, RoutingKeyForbidden
from st2sensor.history.event import Outcome, State
from st2sensor.history.writer import NoHistory
from st2sensor.outbox.tail import Row
from st2sensor.transport.base import Message
from tests.unit.outbox.test_outbox import entry


class Kept(NoHistory):
    """A history that keeps outcomes in memory."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def record(self, outcomes: Sequence[Outcome], done: Callable[[], None]) -> None:
        self.outcomes += outcomes
        done()


def row(number: int) -> Row:
    return Row(id=number, entry=entry(number), size=1, committed=40.0)


def message(*, late: bool = False) -> Message:
    return Message(
        exchange="st2.dispatch",
        routing_key="key",
        body=b"{}",
        content_type="application/json",
        content_encoding="utf-8",
        headers={LATE: "true"} if late else {},
    )


def recorded(courses: Courses, rows: Sequence[Row], state: State, reason: str | None = None) -> list[bool]:
    """Return whether the rows could be deleted."""
    deleted: list[bool] = []
    courses.ended(rows, state, reason)(lambda: deleted.append(True))
    return deleted


def test_a_confirmed_event_is_recorded_with_its_route() -> None:
    kept = Kept()
    courses = Courses(kept, clock=lambda: 50.0)
    courses.made({1: message(), 2: message(late=True)})
    assert recorded(courses, [row(1), row(2)], State.CONFIRMED) == [True]
    first, second = kept.outcomes
    assert (first.state, first.settled, first.attempts, first.problem) == ("confirmed", 50.0, 1, "")
    assert first.committed == 40.0
    assert (first.exchange, first.routing_key, first.is_late, second.is_late) == ("st2.dispatch", "key", False, True)


def test_failed_attempts_are_counted() -> None:
    kept = Kept()
    courses = Courses(kept)
    for number in (1, 2):
        courses.made({1: message()})
        courses.failed([row(1)], BrokerUnavailable(f"failure {number}"))
    recorded(courses, [row(1), row(2)], State.CONFIRMED)
    assert [(item.attempts, item.problem) for item in kept.outcomes] == [(3, "failure 2"), (1, "")]
    recorded(courses, [row(1)], State.CONFIRMED)
    assert kept.outcomes[-1].attempts == 1


def test_messages_confirmed_before_a_refusal_have_not_failed() -> None:
    kept = Kept()
    courses = Courses(kept)
    refusal = RoutingKeyForbidden("no", routing_key="b", confirmed=(0,))
    courses.failed([row(1), row(2)], refusal)
    recorded(courses, [row(1), row(2)], State.CONFIRMED)
    assert [item.attempts for item in kept.outcomes] == [1, 2]


def test_a_dead_letter_was_only_sent_if_an_attempt_failed() -> None:
    kept = Kept()
    courses = Courses(kept)
    courses.failed([row(1)], BrokerUnavailable("refused"))
    recorded(courses, [row(1), row(2)], State.DEAD, "it does not fit")
    assert [(item.attempts, item.reason, item.exchange) for item in kept.outcomes] == [
        (1, "it does not fit", ""),
        (0, "it does not fit", ""),
    ]


def test_remembered_failures_are_limited() -> None:
    kept = Kept()
    courses = Courses(kept)
    courses.failed([row(number) for number in range(FAILED_LIMIT + 1)], BrokerUnavailable("gone"))
    recorded(courses, [row(0), row(1)], State.CONFIRMED)
    assert [item.attempts for item in kept.outcomes] == [1, 2]


def test_an_entry_buried_at_once_was_never_published() -> None:
    [outcome] = buried([entry(1, "it does not fit")])
    assert (outcome.state, outcome.reason, outcome.attempts, outcome.exchange) == ("dead", "it does not fit", 0, "")
    assert outcome.committed == outcome.settled
