"""All facts about an event that the search for causes needs. Plain values: `causes` needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from st2sensor.matching.rules import Verdict
from st2sensor.models import Refusal, TriggerType
from st2sensor.models.rules_engine import EnforcementRecord, ExecutionRecord, InstanceRecord
from st2sensor.reports import Check, SensorReport
from st2sensor.transport.route import Route
from st2sensor.why.life import EventLife


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """How events are published.

    :param serializer: `pickle` or `json`.
    :param routing_key: of this event.
    :param prefix: `[messaging] prefix`.
    """

    serializer: str
    routing_key: str
    prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """The facts from StackStorm's database.

    :param candidates: trigger instances that may be the event, oldest first.
    :param is_there: whether StackStorm uses the database.
    :param are_enforcements_known: whether the enforcements could be read.
    """

    is_there: bool
    candidates: Sequence[InstanceRecord] = ()
    enforcements: Sequence[EnforcementRecord] = ()
    are_enforcements_known: bool = True
    executions: Mapping[str, ExecutionRecord] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """:param asked: the words of the question.

    :param lives: the events that were found, newest first. The first one is explained.
    :param is_trigger: whether the question names a trigger or a rule, and not an event.
    :param rule: the rule that the question names; None for none.
    :param namesakes: the rules, if the question fits several.
    :param rule_type: the trigger type of `rule`.
    :param objection: why the event does not fit its type's schema now; None if it fits, or cannot be checked.
    :param sensors: reports on the sensors that emit the type, for a question about a trigger.
    :param checks: the checks of this host's container, for an event in the outbox; None if none is running.
    :param route: the broker's answers; None if it has no queues, or was not reached.
    :param broker_problem: why the broker was not reached; empty if it was.
    :param verdicts: the rules of the event's type, and others with a similar one.
    :param are_events_known: whether all places that keep events could be read, as far as no event was found.
    :param are_sensors_known: whether the reports on sensors could be read.
    :param are_checks_known: whether the checks could be read.
    :param is_registry_known: whether the registered types could be read.
    :param are_rules_known: whether the rules could be read.
    :param unread: the sources that could not be read, in words.
    :param now: seconds since the epoch.
    """

    asked: str
    now: float
    publishing: Publishing
    lives: Sequence[EventLife] = ()
    is_trigger: bool = False
    rule: str | None = None
    namesakes: Sequence[str] = ()
    rule_type: str | None = None
    trigger_type: TriggerType | None = None
    refusal: Refusal | None = None
    objection: str | None = None
    sensors: Sequence[SensorReport] = ()
    checks: Sequence[Check] | None = None
    route: Route | None = None
    broker_problem: str = ""
    engine: EngineFacts | None = None
    verdicts: Sequence[Verdict] = ()
    are_events_known: bool = True
    are_sensors_known: bool = True
    are_checks_known: bool = True
    is_registry_known: bool = True
    are_rules_known: bool = True
    unread: Sequence[str] = ()

    @property
    def life(self) -> EventLife | None:
        """The event that is explained."""
        return self.lives[0] if self.lives else None

    @property
    def subject(self) -> str:
        """The words of the question, or the trigger type of the rule that it names."""
        return self.rule_type or self.asked

    @property
    def is_published(self) -> bool:
        """Whether the event is with the broker, or was."""
        life = self.life
        return life is not None and not life.is_waiting and not life.is_dead
