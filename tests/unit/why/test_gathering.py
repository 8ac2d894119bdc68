"""What the facts say, and what follows from them, when sources cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from st2sensor.errors import ContainerForbidden, OutboxError, StorageUnavailable
from st2sensor.matching.rules import RuleContent, Verdict, first_obstacle, judged
from st2sensor.models import Trigger, TriggerType
from st2sensor.models.rules_engine import InstanceRecord
from st2sensor.reports import DISABLED, DOWN, SensorReport
from st2sensor.settings import Messaging
from st2sensor.storage.base import RulesEngineRecords, Storage
from st2sensor.why.causes.explanation import findings
from st2sensor.why.evaluator import Evaluator
from st2sensor.why.finding import CAUSE, Finding
from st2sensor.why.gathering import Gathering, Sources
from st2sensor.why.life import EventLife

LIFE = EventLife(
    message_id="m1",
    sensor="ops.S",
    trigger="ops.count",
    trigger_type="ops.count",
    created=10.0,
    confirmed=11.0,
    payload={"n": 1},
)
SENSOR = SensorReport(ref="ops.S", state="running", trigger_types=("ops.count",), triggered_at=5.0)


class Stored:
    """A database with types."""

    def __init__(self, *found: object) -> None:
        self._found = found

    def all(self, kind: type[object]) -> list[object]:
        return [item for item in self._found if isinstance(item, kind)]


class Events:
    def __init__(self, *lives: EventLife) -> None:
        self._lives = lives

    def named(self, identifier: str) -> Sequence[EventLife]:
        return [life for life in self._lives if life.message_id == identifier]

    def traced(self, _: str) -> Sequence[EventLife]:
        return []

    def of_trigger(self, ref: str) -> Sequence[EventLife]:
        return [life for life in self._lives if ref in (life.trigger, life.trigger_type)]


class Unread(Events):
    def traced(self, _: str) -> Sequence[EventLife]:
        raise OutboxError("cannot read the outbox")

    def named(self, identifier: str) -> Sequence[EventLife]:
        return self.traced(identifier)

    def of_trigger(self, ref: str) -> Sequence[EventLife]:
        return self.traced(ref)


class Judge:
    """Evaluates rules without criteria."""

    def verdict(self, rule: RuleContent, subject: Any, _: Any) -> Verdict:
        return first_obstacle(rule, subject) or judged(rule, ())


def away(error: Exception) -> Any:
    def source(*_: object) -> Any:
        raise error

    return source


FORBIDDEN = away(ContainerForbidden("/state/control.sock: Permission denied"))


def rule(ref: str = "ops.big", trigger_type: str | None = "ops.count", **changes: Any) -> RuleContent:
    usual: dict[str, Any] = {"enabled": True, "parameters": {}, "criteria": {}}
    return RuleContent(ref=ref, trigger_type=trigger_type, **(usual | changes))


def sources(*lives: EventLife, **changes: Any) -> Sources:
    kind = TriggerType(pack="ops", name="count")
    made = Sources(
        storage=cast(Storage, Stored(kind, Trigger(pack="ops", name="count", type="ops.count"))),
        engine=None,
        lives=Events(*lives),
        evaluator=cast(Evaluator, Judge()),
        probe=lambda: None,
        rules=lambda: [rule()],
        objection=lambda *_: None,
        sensors=lambda: [SENSOR],
        checks=lambda: None,
    )
    return replace(made, **changes)


MESSAGING = Messaging(
    urls=("amqp://h",),
    prefix="st2",
    serializer="pickle",
    routing_key="trigger_instance",
    tls=None,
    login_method=None,
    local_path=Path("st2.db"),
)


def why(asked: str, found: Sources) -> list[Finding]:
    return findings(Gathering(found, MESSAGING, 20.0).facts(asked))


def causes(asked: str, found: Sources) -> list[str]:
    return [finding.code for finding in why(asked, found) if finding.level == CAUSE]


@pytest.mark.parametrize("asked", ["ops.count", "m1", "big"])
def test_nothing_is_concluded_from_what_cannot_be_read(asked: str) -> None:
    found = why(asked, sources(lives=Unread(), sensors=FORBIDDEN))
    assert not {"no-sensor", "no-event", "event-unknown"} & {finding.code for finding in found}


def test_what_can_be_read_is_concluded() -> None:
    assert {"no-sensor", "no-event"} <= {finding.code for finding in why("ops.count", sources(sensors=list))}
    assert causes("m2", sources()) == ["event-unknown"]


def test_a_container_that_may_not_be_asked_is_not_called_absent() -> None:
    waiting = replace(LIFE, is_waiting=True, confirmed=None)
    (finding,) = [item for item in why("m1", sources(waiting, checks=FORBIDDEN)) if item.level == CAUSE]
    assert finding.code == "waiting"
    assert "no container" not in finding.text


def test_rules_that_cannot_be_read_are_not_called_absent() -> None:
    unread = away(StorageUnavailable("cannot reach MongoDB"))
    assert causes("m1", sources(LIFE, rules=unread)) == []
    assert causes("m1", sources(LIFE, rules=list)) == ["no-rule"]


def test_a_rule_whose_file_cannot_be_read_is_a_note() -> None:
    (finding,) = why("m1", sources(LIFE, rules=lambda: [rule(problem="rules/big.yaml: Permission denied")]))
    assert (finding.code, finding.level, finding.rule) == ("rule-unread", "note", "ops.big")
    assert "Permission denied" in finding.text


class Engine:
    """StackStorm's records, without the enforcements, which cannot be read."""

    def is_there(self) -> bool:
        return True

    def rules(self, _: object) -> list[RuleContent]:
        return [rule()]

    def instances(self, trigger: str, _: float) -> list[InstanceRecord]:
        return [InstanceRecord(id="1", trigger=trigger, payload={"n": 1}, at=11.0, status="processed")]

    enforcements = executions = away(StorageUnavailable("cannot reach MongoDB"))


def test_enforcements_that_cannot_be_read_are_not_called_absent() -> None:
    found = sources(LIFE, engine=cast(RulesEngineRecords, Engine()))
    assert causes("m1", found) == []
    assert "rule-matches" in {finding.code for finding in why("m1", found)}


@pytest.mark.parametrize(
    ("state", "code"), [(DISABLED, "sensor-disabled"), (DOWN, "no-container"), ("backoff", "sensor-failing")]
)
def test_the_present_state_of_a_sensor_is_a_cause_although_there_are_events(state: str, code: str) -> None:
    found = sources(LIFE, sensors=lambda: [replace(SENSOR, state=state, reason="it is so")])
    assert causes("ops.count", found) == [code]
    assert causes("m1", found) == []


def test_a_sensor_that_runs_and_has_dispatched_an_event_is_in_order() -> None:
    fresh = replace(SENSOR, triggered_at=None, trigger_types=())
    assert causes("ops.count", sources(LIFE, sensors=lambda: [fresh])) == []
    by_hand = replace(LIFE, sensor="core")
    assert causes("ops.count", sources(by_hand, sensors=list)) == []


@pytest.mark.parametrize("lives", [[], [replace(LIFE, is_waiting=True, confirmed=None)]])
def test_a_remedy_is_said_once(lives: list[EventLife]) -> None:
    remedy = "st2ctl start starts one"
    down = replace(SENSOR, state=DOWN, reason=f"no container is running on this host; {remedy}")
    said = [item for item in why("ops.count", sources(*lives, sensors=lambda: [down])) if item.level == CAUSE]
    assert [f"{item.text} {item.remedy}".count(remedy) for item in said] == [1]


@pytest.mark.parametrize("asked", ["big", "ops.big"])
def test_a_rule_can_be_asked_about_by_its_name(asked: str) -> None:
    others = [rule("ops.other", enabled=False), rule(enabled=False)]
    found = why(asked, sources(LIFE, rules=lambda: others))
    assert [item.rule for item in found if item.code == "rule-disabled"] == ["ops.big"]
    (named,) = [item for item in found if item.code == "rule-named"]
    assert named.text == "ops.big is a rule; its trigger type is ops.count"
    assert "type-unknown" not in causes(asked, sources(rules=lambda: others))


def test_the_name_of_several_rules_is_not_guessed() -> None:
    rules = [rule("a.big"), rule("b.big")]
    (finding,) = [item for item in why("big", sources(rules=lambda: rules)) if item.level == CAUSE]
    assert finding.code == "rule-ambiguous"
    assert "a.big, b.big" in finding.text
    assert causes("b.big", sources(LIFE, rules=lambda: rules)) == []


def test_a_rule_with_parameters_has_the_events_of_its_trigger() -> None:
    parameters = {"a": 1}
    stored = Stored(
        TriggerType(pack="ops", name="count"),
        Trigger(pack="ops", name="count", type="ops.count"),
        Trigger(pack="ops", name="4711", type="ops.count", parameters=parameters),
    )
    asks = [rule(parameters=parameters)]
    own, other = replace(LIFE, trigger="ops.4711"), replace(LIFE, message_id="m2", created=12.0)
    seen = sources(other, own, storage=stored, rules=lambda: asks)
    assert causes("big", seen) == []
    assert causes("big", sources(other, storage=stored, rules=lambda: asks)) == ["rule-other-parameters"]
