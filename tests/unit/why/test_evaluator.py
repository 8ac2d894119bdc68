"""Rules evaluated in worker processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from st2sensor.matching import rules
from st2sensor.matching.rules import RuleContent, Subject, Verdict
from st2sensor.models import KeyValue
from st2sensor.why.evaluator import FUNCTIONS, TIMEOUT, Evaluator
from st2sensor.workers.pool import Pool
from tests.plugins.patience import SOON

KEYS = {
    "limit": KeyValue(scope="st2kv.system", name="limit", value="90"),
    "token": KeyValue(scope="st2kv.system", name="token", value="CIPHER", secret=True),
}


@pytest.fixture(scope="module")
def workers() -> Iterator[Pool]:
    pool = Pool(FUNCTIONS)
    yield pool
    pool.close()


@pytest.fixture
def evaluator(workers: Pool) -> Evaluator:
    return Evaluator(workers, lambda _, name: KEYS.get(name), lambda _, __: "hunter22", clock=lambda: 1_700_000_000.0)


def verdict(evaluator: Evaluator, payload: dict[str, Any], schema: Any = None, **criterion: Any) -> Verdict:
    rule = RuleContent(ref="p.r", enabled=True, trigger_type="p.t", parameters={}, criteria={"trigger.a": criterion})
    subject = Subject(trigger="p.t", trigger_type="p.t", parameters={}, payload=payload)
    return evaluator.verdict(rule, subject, schema)


@pytest.mark.parametrize(
    ("payload", "pattern", "outcome"),
    [
        ({"a": "90"}, "{{ st2kv.system.limit }}", rules.MATCHES),
        ({"a": "limit 90"}, "limit {{ system.limit }}", rules.MATCHES),
        ({"a": 5, "b": 5}, "{{ trigger.b }}", rules.MATCHES),
        ({"a": [1], "b": [1]}, "{{ trigger.b }}", rules.MATCHES),
        ({"a": "x5", "b": 5}, "x{{ trigger.b }}", rules.MATCHES),
        ({"a": 5}, "{{ trigger.c }}", rules.CRITERIA),
        ({"a": 5}, "{{ trigger.a | version_bump_minor }}", rules.UNCLEAR),
        ({"a": ""}, "{{ st2kv.system.nothing }}", rules.MATCHES),
    ],
)
def test_patterns_are_rendered(evaluator: Evaluator, payload: dict[str, Any], pattern: str, outcome: str) -> None:
    found = verdict(evaluator, payload, type="equals", pattern=pattern)
    assert found.outcome == outcome, found


def test_a_missing_key_of_the_datastore_is_named(evaluator: Evaluator) -> None:
    (failed,) = verdict(evaluator, {"a": 5}, type="equals", pattern="{{ st2kv.system.nothing }}").failed
    assert "the datastore has no key nothing" in failed.problem


def test_decrypted_values_are_masked(evaluator: Evaluator) -> None:
    found = verdict(evaluator, {"a": "not hunter22"}, type="eq", pattern="{{ st2kv.system.token | decrypt_kv }}")
    assert "hunter22" not in repr(found)
    assert found.failed[0].pattern == "********"


@pytest.mark.parametrize("secret", [{"secret": True}, {"type": "object", "properties": {"b": {"secret": True}}}])
def test_secret_properties_are_masked(evaluator: Evaluator, secret: dict[str, Any]) -> None:
    found = verdict(evaluator, {"a": "hunter22"}, {"properties": {"a": secret}}, type="eq", pattern="hunter23")
    assert "hunter2" not in repr(found.failed)


def test_an_endless_expression_ends(evaluator: Evaluator) -> None:
    began = time.monotonic()
    found = verdict(evaluator, {"a": "a" * 60}, type="regex", pattern="^(a+)+$x")
    assert found.outcome == rules.UNCLEAR
    assert f"more than {TIMEOUT:g} s" in found.detail
    assert time.monotonic() - began < TIMEOUT + SOON


def test_without_a_datastore_the_outcome_is_open(workers: Pool) -> None:
    found = verdict(Evaluator(workers), {"a": 5}, type="equals", pattern="{{ st2kv.system.limit }}")
    assert found.outcome == rules.UNCLEAR
    assert "the key limit is in the datastore" in found.detail


def test_other_rules_are_not_evaluated(evaluator: Evaluator) -> None:
    rule = RuleContent(ref="p.r", enabled=False, trigger_type="p.t", parameters={}, criteria={"x": 1})
    subject = Subject(trigger="p.t", trigger_type="p.t", parameters={}, payload={"a": 1})
    assert evaluator.verdict(rule, subject).outcome == rules.DISABLED
