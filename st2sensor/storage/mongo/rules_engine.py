"""The records of StackStorm's rules engine in MongoDB. They are only read, and every query is limited in time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from bson import ObjectId

from st2sensor.matching.rules import RuleContent
from st2sensor.models import Trigger
from st2sensor.models.rules_engine import EnforcementRecord, ExecutionRecord, InstanceRecord
from st2sensor.settings import Database
from st2sensor.storage import rules_engine
from st2sensor.storage.mongo.connection import Connection
from st2sensor.storage.mongo.decoding import all_plain
from st2sensor.storage.reader import Reader

R = TypeVar("R")

ANSWER_TIMEOUT = 5.0
"""Seconds within which the server must answer."""

MOST = 1000
"""Maximum number of documents of one query."""

MOST_RULES = 10_000
"""Maximum number of rules that are read."""


class MongoRulesEngine:
    """Implements the RulesEngineRecords protocol."""

    def __init__(self, settings: Database) -> None:
        self._connection = Connection(
            settings.url,
            database=settings.name,
            timeout=min(ANSWER_TIMEOUT, settings.connection_timeout / 1000),
            answer_timeout=ANSWER_TIMEOUT,
            client=settings.client,
        )
        self._database = self._connection.database
        self._reader = Reader()

    def is_there(self) -> bool:
        names = (rules_engine.RULES, rules_engine.INSTANCES)
        with self._connection.failures():
            return bool(self._database.list_collection_names(filter={"name": {"$in": list(names)}}))

    def rules(self, triggers: Mapping[str, Trigger]) -> list[RuleContent]:
        parse = partial(rules_engine.rule, triggers=triggers)
        return self._found(rules_engine.RULES, {}, parse, most=MOST_RULES)

    def instance(self, identifier: str) -> InstanceRecord | None:
        return next(iter(self._by_id(rules_engine.INSTANCES, [identifier], rules_engine.instance)), None)

    def instances(self, trigger: str, since: float) -> list[InstanceRecord]:
        query: dict[str, Any] = {"trigger": trigger}
        with suppress(OverflowError, OSError, ValueError):
            query["occurrence_time"] = {"$gte": rules_engine.date_of(since)}
        return self._found(rules_engine.INSTANCES, query, rules_engine.instance, sort="occurrence_time")

    def latest(self, trigger: str) -> InstanceRecord | None:
        found = self._found(rules_engine.INSTANCES, {"trigger": trigger}, rules_engine.instance, newest=True, most=1)
        return next(iter(found), None)

    def traced(self, tag: str) -> list[InstanceRecord]:
        found = self._found(rules_engine.TRACES, {"trace_tag": tag}, rules_engine.instances_of_trace)
        identifiers = [identifier for trace in found for identifier in trace]
        return self._by_id(rules_engine.INSTANCES, identifiers[:MOST], rules_engine.instance)

    def enforcements(self, instance: str) -> list[EnforcementRecord]:
        query = {"trigger_instance_id": instance}
        return self._found(rules_engine.ENFORCEMENTS, query, rules_engine.enforcement)

    def executions(self, identifiers: Sequence[str]) -> list[ExecutionRecord]:
        return self._by_id(rules_engine.EXECUTIONS, identifiers, rules_engine.execution, without=("result", "log"))

    def close(self) -> None:
        self._connection.close()

    def _by_id(
        self,
        collection: str,
        identifiers: Iterable[str],
        parse: Callable[[Mapping[str, Any]], R],
        without: tuple[str, ...] = (),
    ) -> list[R]:
        wanted = [ObjectId(item) for item in identifiers if ObjectId.is_valid(item)]
        return self._found(collection, {"_id": {"$in": wanted}}, parse, without=without) if wanted else []

    def _found(
        self,
        collection: str,
        query: Mapping[str, Any],
        parse: Callable[[Mapping[str, Any]], R],
        *,
        sort: str = "_id",
        newest: bool = False,
        most: int = MOST,
        without: tuple[str, ...] = (),
    ) -> list[R]:
        """Return the first documents that can be read. The others are skipped, with a warning each."""
        fields = dict.fromkeys(without, False) or None
        with self._connection.failures():
            found = self._database[collection].find(query, fields).sort(sort, -1 if newest else 1).limit(most)
            found.max_time_ms(int(ANSWER_TIMEOUT * 1000))
            return list(self._reader.sound(collection, parse, all_plain(found)))


def open_rules_engine(settings: Database) -> MongoRulesEngine:
    """Open the records, without connecting to a server yet. Raises ConfigError."""
    return MongoRulesEngine(settings)
