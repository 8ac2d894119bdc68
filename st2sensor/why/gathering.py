"""Gathers the facts about an event from all sources. Sources that cannot be read are noted, and left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from typing import TypeVar

from st2sensor.delivery.messages import ROUTING_KEYS
from st2sensor.dispatch.catalogue import Catalogue
from st2sensor.dispatch.event import Event
from st2sensor.errors import St2SensorError
from st2sensor.matching.rules import OTHER_TYPE, UNCLEAR, RuleContent, Subject, Verdict, settled
from st2sensor.models import Schema
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
from st2sensor.why.registered import Registered, named, read

R = TypeVar("R")
D = TypeVar("D")

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


class Gathering:
    """Gathers the facts for one question. Blocks; each source has its own deadline."""

    def __init__(self, sources: Sources, messaging: Messaging, now: float) -> None:
        self._sources = sources
        self._messaging = messaging
        self._now = now
        self._unread: list[str] = []

    def facts(self, asked: str) -> Facts:
        """Return the facts about a message_id, trace tag, trigger, trigger type, trigger instance's id, or rule."""
        sources = self._sources
        known = self._read(lambda: read(sources.storage), None)
        registered = known or Registered()
        has_engine = False if sources.engine is None else self._read(sources.engine.is_there, None)
        engine = sources.engine if has_engine else None
        rules = None if known is None or has_engine is None else self._read(self._rules(engine, registered), None)
        lives, are_events_known = self._lives(asked, engine, registered)
        namesakes = [] if lives or registered.has(asked) else named(rules or (), asked)
        rule = namesakes[0] if len(namesakes) == 1 else None
        if rule is not None:
            lives, are_events_known = self._lives_for(rule, engine, registered)
        life = lives[0] if lives else None
        ref = life.trigger_type if life else registered.type_of(asked) if rule is None else registered.type_for(rule)
        is_about_event = life is not None and asked not in (life.trigger, life.trigger_type)
        is_trigger = rule is not None or (not is_about_event and not namesakes and registered.is_trigger(asked))
        in_engine = self._engine_facts(engine, life)
        route, broker_problem = self._route()
        verdicts = [] if rules is None else self._verdicts(rules if rule is None else [rule], life, ref, registered)
        sensors = self._read(lambda: self._emitting(ref, life), None) if is_trigger else ()
        reached = self._read(lambda: (sources.checks(),), None) if life is not None and life.is_waiting else (None,)
        return Facts(
            asked=asked,
            now=self._now,
            publishing=self._publishing(life, ref),
            lives=lives,
            is_trigger=is_trigger,
            rule=None if rule is None else rule.ref,
            namesakes=[item.ref for item in namesakes] if rule is None else (),
            rule_type=None if rule is None else registered.type_for(rule),
            trigger_type=registered.types.get(ref),
            refusal=registered.refusals.get(ref),
            objection=self._objection(life, registered),
            sensors=sensors or (),
            checks=None if reached is None else reached[0],
            route=route,
            broker_problem=broker_problem,
            engine=in_engine if sources.engine is not None else None,
            verdicts=verdicts,
            are_events_known=are_events_known,
            are_sensors_known=sensors is not None,
            are_checks_known=reached is not None,
            is_registry_known=known is not None,
            are_rules_known=rules is not None,
            unread=tuple(self._unread),
        )

    def _read(self, source: Callable[[], R], otherwise: D) -> R | D:
        try:
            return source()
        except St2SensorError as error:
            if str(error) not in self._unread:
                self._unread.append(str(error))
            return otherwise

    def _many(self, source: Callable[[], Sequence[R]]) -> Sequence[R]:
        none: Sequence[R] = ()
        return self._read(source, none)

    def _lives(
        self, asked: str, engine: RulesEngineRecords | None, registered: Registered
    ) -> tuple[Sequence[EventLife], bool]:
        """Return the events that a question names, and whether all places that may have them could be read."""
        lives, is_known = self._sources.lives, True
        for search in (lives.named, lives.traced, lives.of_trigger):
            found = self._read(partial(search, asked), None)
            if found:
                return found, True
            is_known = is_known and found is not None
        if engine is None:
            return [], is_known
        stored = self._read(lambda: instances.stored(engine, asked), None)
        made = [instances.life_of(item, registered.type_of(item.trigger), self._now) for item in stored or ()]
        return made, is_known and stored is not None

    def _lives_for(
        self, rule: RuleContent, engine: RulesEngineRecords | None, registered: Registered
    ) -> tuple[Sequence[EventLife], bool]:
        """Return the events of a rule's trigger; if there are none, those of its type, which have other parameters."""
        trigger = registered.trigger_of(rule)
        found, is_known = self._lives(trigger, engine, registered)
        if found or rule.trigger_type in (None, trigger):
            return found, is_known
        return self._lives(str(rule.trigger_type), engine, registered)

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

    def _objection(self, life: EventLife | None, registered: Registered) -> str | None:
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

    def _emitting(self, ref: str, life: EventLife | None) -> Sequence[SensorReport]:
        """Return reports on the sensors that emit a type, or have dispatched an event. Raises St2SensorError."""
        found = self._sources.sensors()
        return [item for item in found if ref in item.trigger_types or (life is not None and item.ref == life.sensor)]

    def _engine_facts(self, engine: RulesEngineRecords | None, life: EventLife | None) -> EngineFacts:
        if engine is None or life is None:
            return EngineFacts(is_there=engine is not None)
        candidates = self._read(lambda: instances.candidates(engine, life), None)
        if candidates is None:
            return EngineFacts(is_there=False)
        if not candidates:
            return EngineFacts(is_there=True)
        enforced = self._read(lambda: engine.enforcements(candidates[0].id), None)
        ids = [item.execution for item in enforced or () if item.execution is not None]
        executions = self._many(lambda: engine.executions(ids))
        return EngineFacts(
            is_there=True,
            candidates=candidates,
            enforcements=enforced or (),
            are_enforcements_known=enforced is not None,
            executions={item.id: item for item in executions},
        )

    def _verdicts(
        self, rules: Sequence[RuleContent], life: EventLife | None, ref: str, registered: Registered
    ) -> list[Verdict]:
        """Return the verdicts on the rules that matter."""
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
            return [Verdict(rule=rule, outcome=UNCLEAR, detail=detail) for rule in chosen]
        found: list[Verdict] = []
        for rule in chosen[:MOST_RULES]:
            found += self._many(partial(self._verdict, rule, subject, schema))
        return settled(found)

    def _rules(self, engine: RulesEngineRecords | None, registered: Registered) -> Callable[[], Sequence[RuleContent]]:
        return self._sources.rules if engine is None else partial(engine.rules, registered.triggers)

    def _verdict(self, rule: RuleContent, subject: Subject, schema: Schema | None) -> list[Verdict]:
        if rule.trigger_type is None:
            detail = f"its trigger {rule.trigger} is not registered any more"
            return [Verdict(rule=rule, outcome=OTHER_TYPE, detail=detail)]
        return [self._sources.evaluator.verdict(rule, subject, schema)]
