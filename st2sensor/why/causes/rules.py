"""Causes in StackStorm: the trigger instance, the rules, their enforcements and executions. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator

from st2sensor.matching import rules
from st2sensor.matching.rules import Verdict
from st2sensor.models.rules_engine import EnforcementRecord, InstanceRecord
from st2sensor.why.causes import sentences
from st2sensor.why.causes.here import LONG
from st2sensor.why.facts import EngineFacts, Facts
from st2sensor.why.finding import Finding, cause, note

UNFINISHED = ("pending", "processing")
"""Statuses of instances that the rules engine has not finished."""

RAN = ("succeeded", "running", "requested", "scheduled", "delayed", "pending", "paused", "pausing", "resuming")
"""Statuses of executions that have not failed."""

REMEDIES = {
    rules.DISABLED: ("rule-disabled", "st2 rule enable {0}, or enabled: true in its file"),
    rules.OTHER_TYPE: ("rule-other-type", "correct trigger.type in the rule"),
    rules.OTHER_PARAMETERS: ("rule-other-parameters", "correct trigger.parameters in the rule"),
    rules.EMPTY: ("rule-empty-payload", "dispatch a payload, or remove the rule's criteria"),
    rules.NOT_NEEDED: ("rule-backstop", "a backstop rule is for events that no other rule matches"),
    rules.UNREAD: ("rule-unread", "ask where its file can be read, or correct the file"),
    rules.UNCLEAR: ("rule-unclear", "test the rule in StackStorm: st2-rule-tester"),
}
"""Codes and remedies by the outcome of a rule's evaluation."""


def instance_of(facts: Facts) -> InstanceRecord | None:
    """Return the trigger instance that the event became; None if there is none, or StackStorm is not known."""
    return facts.engine.candidates[0] if facts.engine is not None and facts.engine.candidates else None


def of_instance(facts: Facts) -> Iterator[Finding]:
    """Yield what the rules engine did with the event before it evaluated rules."""
    engine, life = facts.engine, facts.life
    if engine is None or life is None or not engine.is_there:
        return
    found = instance_of(facts)
    if found is None:
        if facts.is_published and life.payload is not None:
            yield cause(
                "not-received",
                "StackStorm has no trigger instance of it",
                "if it is not in the queue, the rules engine dropped it, or has deleted it since: see its log",
            )
        return
    if len(engine.candidates) > 1:
        yield note(
            "received-twice",
            f"StackStorm has {len(engine.candidates)} trigger instances with its trigger and payload",
            "the rules fire for each: compare the message_id to tell a repeat from a second event",
        )
    if found.at is not None and found.at - life.created > LONG:
        yield note("received-late", f"StackStorm received it {found.at - life.created:.0f} s after its dispatch")
    if found.status in UNFINISHED:
        yield cause(
            "instance-unfinished",
            f"its trigger instance {found.id} is still {found.status}",
            "start the rules engine; it takes up unfinished instances when it starts",
        )
    elif found.status == "processing_failed":
        yield cause(
            "instance-failed",
            f"the rules engine failed at its trigger instance {found.id}",
            f"its log has the reason; st2 trigger-instance re-emit {found.id} tries again",
        )
    else:
        yield note(
            "received", f"StackStorm has it as trigger instance {found.id}, {found.status or 'without a status'}"
        )


def of_rules(facts: Facts) -> Iterator[Finding]:
    """Yield for each rule why it did not fire, or that it did."""
    records = () if facts.engine is None else facts.engine.enforcements
    enforced = {item.rule: item for item in records if facts.rule in (None, item.rule)}
    for item in enforced.values():
        yield _enforced(item, facts.engine)
    asking = [found for found in facts.verdicts if found.outcome != rules.OTHER_TYPE]
    has_subject = facts.rule is None and (facts.life is not None or facts.is_trigger)
    if facts.are_rules_known and not asking and not enforced and has_subject:
        ref = facts.life.trigger_type if facts.life is not None else facts.subject
        yield cause("no-rule", f"no rule asks for {ref}", "write one, and register it; st2sensor rules lists them")
    # A rule of a similar type matters, because the type may be misspelt.
    for verdict in asking or facts.verdicts:
        if verdict.rule.ref not in enforced:
            yield from _not_enforced(facts, verdict)


def _enforced(item: EnforcementRecord, engine: EngineFacts | None) -> Finding:
    if item.execution is None:
        return cause(
            "enforcement-failed",
            f"it matched, but no action was started: {item.failure or item.status}",
            "correct the action's ref or parameters in the rule",
            item.rule,
        )
    found = engine.executions.get(item.execution) if engine is not None else None
    if found is None:
        return note("fired", f"it fired: execution {item.execution}", f"st2 execution get {item.execution}", item.rule)
    if found.status in RAN:
        words = "it fired" if found.status == "succeeded" else f"it fired, and its action is {found.status}"
        return note("fired", f"{words}: {found.action}, execution {found.id}", rule=item.rule)
    return cause(
        "action-failed",
        f"it fired, but its action {found.action} ended as {found.status}",
        f"st2 execution get {found.id} has the reason",
        item.rule,
    )


def _not_enforced(facts: Facts, verdict: Verdict) -> Iterator[Finding]:
    """Yield why a rule did not fire. For a trigger without an event, its criteria are not evaluated."""
    rule = verdict.rule
    if verdict.outcome in REMEDIES and not verdict.comparisons:
        code, remedy = REMEDIES[verdict.outcome]
        kind = note if verdict.outcome in (rules.NOT_NEEDED, rules.UNREAD) else cause
        yield kind(code, verdict.detail, remedy.format(rule.ref), rule.ref)
        return
    for found in verdict.failed:
        code, remedy = sentences.code_of(found)
        yield cause(code, sentences.of_comparison(found), remedy, rule.ref)
    if verdict.outcome == rules.MATCHES:
        yield _matches(facts, verdict)


def _matches(facts: Facts, verdict: Verdict) -> Finding:
    """Return why a rule that matches was not enforced, as far as that is known."""
    rule, found, life = verdict.rule, instance_of(facts), facts.life
    if life is None:
        return note("rule-asks", "it asks for this trigger", rule=rule.ref)
    moment = life.created if found is None or found.at is None else found.at
    if rule.created is not None and rule.created > moment + 1:
        return cause(
            "rule-newer",
            f"it matches, but was created {rule.created - moment:.0f} s after the event",
            "send the event again, if the rule should see it",
            rule.ref,
        )
    engine = facts.engine
    if found is None or found.status in UNFINISHED or (engine is not None and not engine.are_enforcements_known):
        return note("rule-matches", "it matches", rule=rule.ref)
    return cause(
        "rule-changed",
        "it matches now, but StackStorm did not enforce it: it was enabled or changed after the event, or the "
        "enforcement was deleted",
        f"st2 trigger-instance re-emit {found.id} evaluates it again",
        rule.ref,
    )
