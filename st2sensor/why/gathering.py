"""Gathers the facts about an event from all sources. Sources that cannot be read are noted, and left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from typing import Any, TypeVar

from st2sensor.delivery.messages import ROUTING_KEYS
from st2sensor.dispatch.catalogue import Catalogue
from st2sensor.dispatch.event import Event
from st2sensor.errors import St2SensorError
from st2sensor.matching.rules import OTHER_TYPE, UNCLEAR, RuleContent, Subject, Verdict, settled
from st2sensor.models import Refusal, Schema, Trigger, TriggerType
from st2sensor.models.rules_engine import InstanceRecord
from st2sensor.outbox.entry import Entry
from st2sensor.portable import rpc
from st2sensor.portable.rpc import NotJson
from st2sensor.reports import Check, SensorReport
from st2sensor.settings import Messaging
from st2sensor.storage.base import RulesEngineRecords, Storage
from st2sensor.transport.route import Route
from st2sensor.why import instances
from st2sensor.why.evaluator import Evaluator
from st2sensor.why.facts import EngineFacts, Facts, Publishing
from st2sensor.why.life import EventLife, Lives

R = TypeVar("R")

SIMILAR = 0.8
"""Similarity of two references of types, from 0 to 1, above which one may be a misspelling of the other."""

MOST_RULES = 200
"""Maximum number of rules that are evaluated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The sources of facts. Functions raise St2SensorError for sources that cannot be read.

    :param engine: None if StackStorm cannot use the database.
    :param rules: returns the rules of packs on this host, given references; for installations without StackStorm.
    :param objection: returns why an event does not fit the registered types, or None.
    :param sensors: returns reports on all sensors.
    :param checks: returns the checks of this host's container, or None.
    """

    storage: Storage
    engine: RulesEngineRecords | None
    lives: Lives
    evaluator: Evaluator
    probe: Callable[[], Route | None]
    rules: Callable[[], Sequence[RuleContent]]
    objection: Callable[[Event, Catalogue], str | None]
    sensors: Callable[[], Sequence[SensorReport]]
    checks: Callable[[], Sequence[Check] | None]


@dataclass(slots=True)
class _Registered:
    """The registered types and triggers by reference."""

    types: dict[str, TriggerType] = field(default_factory=dict)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    refusals: dict[str, Refusal] = field(default_factory=dict)

    def type_of(self, ref: str) -> str:
        known = self.triggers.get(ref)
        return ref if known is None else known.type

    def parameters_of(self, ref: str) -> Mapping[str, Any] | None:
        known = self.triggers.get(ref)
        if known is not None:
            return known.parameters
        return {} if ref in self.types else None

    @property
    def catalogue(self) -> Catalogue:
        found = Catalogue()
        found.learn(self.types.values(), list(self.triggers.values()), self.refusals.values())
        return found


class Gathering:
    """Gathers the facts for one question. Blocks; each source has its own deadline."""

    def __init__(self, sources: Sources, messaging: Messaging, now: float) -> None:
        self._sources = sources
        self._messaging = messaging
        self._now = now
        self._unread: list[str] = []

    def facts(self, asked: str) -> Facts:
        """Return the facts about a message_id, trace tag, trigger, trigger type, or trigger instance's id."""
        sources = self._sources
        nothing = _Registered()
        registered = self._read(self._registered, nothing)
        has_engine = sources.engine is not None and self._read(sources.engine.is_there, False)
        engine = sources.engine if has_engine else None
        lives = self._lives(asked, engine, registered)
        is_trigger = not (lives and not self._is_of(lives[0], asked)) and self._is_trigger(asked, registered)
        ref = lives[0].trigger_type if lives else registered.type_of(asked)
        life = lives[0] if lives else None
        in_engine = self._engine_facts(engine, life)
        route, broker_problem = self._route()
        verdicts, are_rules_known = self._verdicts(engine, life, ref, registered)
        return Facts(
            asked=asked,
            now=self._now,
            publishing=self._publishing(life, ref),
            lives=lives,
            is_trigger=is_trigger,
            trigger_type=registered.types.get(ref),
            refusal=registered.refusals.get(ref),
            objection=self._objection(life, registered),
            sensors=self._emitting(ref) if is_trigger or life is None else (),
            checks=self._read(sources.checks, None) if life is not None and life.is_waiting else None,
            route=route,
            broker_problem=broker_problem,
            engine=in_engine if sources.engine is not None else None,
            verdicts=verdicts,
            is_registry_known=registered is not nothing,
            are_rules_known=are_rules_known,
            unread=tuple(self._unread),
        )

    def _read(self, source: Callable[[], R], otherwise: R) -> R:
        try:
            return source()
        except St2SensorError as error:
            if str(error) not in self._unread:
                self._unread.append(str(error))
            return otherwise

    def _many(self, source: Callable[[], Sequence[R]]) -> Sequence[R]:
        none: Sequence[R] = ()
        return self._read(source, none)

    def _registered(self) -> _Registered:
        storage = self._sources.storage
        return _Registered(
            {item.ref: item for item in storage.all(TriggerType)},
            {item.ref: item for item in storage.all(Trigger)},
            {item.ref: item for item in storage.all(Refusal)},
        )

    def _lives(self, asked: str, engine: RulesEngineRecords | None, registered: _Registered) -> list[EventLife]:
        lives = self._sources.lives
        for search in (lives.named, lives.traced, lives.of_trigger):
            found = self._many(partial(search, asked))
            if found:
                return list(found)
        if engine is None:
            return []
        stored = self._many(lambda: instances.stored(engine, asked))
        return [instances.life_of(item, registered.type_of(item.trigger), self._now) for item in stored]

    @staticmethod
    def _is_of(life: EventLife, asked: str) -> bool:
        return asked in (life.trigger, life.trigger_type)

    @staticmethod
    def _is_trigger(asked: str, registered: _Registered) -> bool:
        known = (registered.types, registered.triggers, registered.refusals)
        return any(asked in items for items in known) or bool(re.fullmatch(r"[\w-]+\.[\w.-]+", asked))

    def _publishing(self, life: EventLife | None, ref: str) -> Publishing:
        messaging = self._messaging
        entry = Entry(
            message_id="",
            sensor="",
            trigger=ref if life is None else life.trigger,
            trigger_type=ref,
            created=self._now,
            body="",
        )
        key = ROUTING_KEYS[messaging.routing_key](entry)
        return Publishing(serializer=messaging.serializer, routing_key=key, prefix=messaging.prefix)

    def _objection(self, life: EventLife | None, registered: _Registered) -> str | None:
        if life is None or life.payload is None or life.trigger_type not in registered.types:
            return None
        with suppress(NotJson):
            event = Event(trigger=life.trigger_type, payload=rpc.body(dict(life.payload)))
            return self._read(lambda: self._sources.objection(event, registered.catalogue), None)
        return None

    def _route(self) -> tuple[Route | None, str]:
        """Return the route, or why the broker was not reached."""
        try:
            return self._sources.probe(), ""
        except St2SensorError as error:
            return None, str(error)

    def _emitting(self, ref: str) -> Sequence[SensorReport]:
        found = self._many(self._sources.sensors)
        return [report for report in found if ref in report.trigger_types]

    def _engine_facts(self, engine: RulesEngineRecords | None, life: EventLife | None) -> EngineFacts:
        if engine is None or life is None:
            return EngineFacts(is_there=engine is not None)
        unknown: Sequence[InstanceRecord] | None = None
        candidates = self._read(lambda: instances.candidates(engine, life), unknown)
        if candidates is None:
            return EngineFacts(is_there=False)
        if not candidates:
            return EngineFacts(is_there=True)
        enforced = self._many(lambda: engine.enforcements(candidates[0].id))
        ids = [item.execution for item in enforced if item.execution is not None]
        executions = self._many(lambda: engine.executions(ids))
        return EngineFacts(
            is_there=True,
            candidates=candidates,
            enforcements=enforced,
            executions={item.id: item for item in executions},
        )

    def _verdicts(
        self, engine: RulesEngineRecords | None, life: EventLife | None, ref: str, registered: _Registered
    ) -> tuple[list[Verdict], bool]:
        """Return the verdicts on the rules that matter, and whether the rules could be read."""
        none: Sequence[RuleContent] | None = None
        rules = self._read(self._rules(engine, registered), none)
        if rules is None:
            return [], False
        types = {rule.trigger_type or rule.trigger or "" for rule in rules} - {ref}
        similar = set(get_close_matches(ref, types, n=3, cutoff=SIMILAR))
        missing = {rule.trigger for rule in rules if rule.trigger_type is None}
        chosen = [rule for rule in rules if rule.trigger_type == ref or rule.trigger_type in similar]
        chosen += [rule for rule in rules if rule.trigger in missing and rule.trigger in {ref, *similar}]
        schema = registered.types[ref].payload_schema if ref in registered.types else None
        subject = Subject(
            trigger=ref if life is None else life.trigger,
            trigger_type=ref,
            parameters=None if life is None else registered.parameters_of(life.trigger),
            payload={} if life is None or life.payload is None else life.payload,
        )
        if life is None:
            # There is nothing to compare.
            chosen = [replace(rule, criteria={}) for rule in chosen]
        elif life.payload is None:
            detail = "the payload of the event was not kept"
            return [Verdict(rule=rule, outcome=UNCLEAR, detail=detail) for rule in chosen], True
        found: list[Verdict] = []
        for rule in chosen[:MOST_RULES]:
            found += self._many(partial(self._verdict, rule, subject, schema))
        return settled(found), True

    def _rules(
        self, engine: RulesEngineRecords | None, registered: _Registered
    ) -> Callable[[], Sequence[RuleContent] | None]:
        return self._sources.rules if engine is None else partial(engine.rules, registered.triggers)

    def _verdict(self, rule: RuleContent, subject: Subject, schema: Schema | None) -> list[Verdict]:
        if rule.trigger_type is None:
            detail = f"its trigger {rule.trigger} is not registered any more"
            return [Verdict(rule=rule, outcome=OTHER_TYPE, detail=detail)]
        return [self._sources.evaluator.verdict(rule, subject, schema)]
