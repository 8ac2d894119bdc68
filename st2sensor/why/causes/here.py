"""Causes on this side of the broker: the type, the sensor, the dead letter, the outbox. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator

from st2sensor.models import CORE_PACK
from st2sensor.reports import DISABLED, DOWN, ELSEWHERE, REFUSED
from st2sensor.why.facts import Facts
from st2sensor.why.finding import Finding, cause, note
from st2sensor.why.life import EventLife

LONG = 60.0
"""Seconds between dispatch and confirm that are worth a note."""

DEAD = (
    ("is not registered", "dead-unregistered", "declare it in trigger_types, and run st2ctl reload"),
    ("was refused:", "dead-type-refused", "correct the file that it names, and run st2ctl reload"),
    ("does not fit", "dead-schema", "correct the schema or the payload"),
    ("more than [system] max_payload", "dead-too-large", "send less, or raise [system] max_payload"),
    ("is of type", "dead-not-object", "dispatch a dict"),
    ("took more than", "dead-check-too-slow", "simplify the payload_schema"),
    ("cannot store", "dead-not-storable", "dispatch values that JSON and MongoDB can hold"),
    ("refused it", "dead-refused-by-broker", "change the limit that the broker names"),
)
"""Beginnings of the reasons of dead letters, with the code and the remedy of each."""

STATES = {
    DISABLED: ("sensor-disabled", "st2sensor enable {0} lets it run"),
    REFUSED: ("sensor-refused", "correct what it names, and run st2ctl reload"),
    DOWN: ("no-container", "st2ctl start starts one"),
    "backoff": ("sensor-failing", "st2sensor show {0} has the error"),
    "waiting": ("sensor-waiting", "st2sensor nodes shows who could run it"),
    "finished": ("sensor-finished", "st2sensor restart {0} starts it again, if its run() should not have returned"),
}
"""Codes and remedies by the state of a sensor that does not run."""


def of_type(facts: Facts) -> Iterator[Finding]:
    """Yield the problems with the trigger type."""
    life = facts.life
    ref = life.trigger_type if life is not None else facts.subject
    if facts.refusal is not None:
        yield cause(
            "type-refused",
            f"the declaration of trigger type {ref} was refused: {facts.refusal.error}",
            "correct it, and run st2ctl reload",
        )
    elif facts.is_registry_known and facts.trigger_type is None and (life is not None or facts.is_trigger):
        yield cause(
            "type-unknown",
            f"trigger type {ref} is not registered",
            "check the name with st2sensor triggers; if it is right, register its pack with st2ctl reload",
        )
    if facts.objection is not None and life is not None and not life.is_dead:
        yield note("schema", f"the payload does not fit the registered schema: {facts.objection}")


def of_sensors(facts: Facts) -> Iterator[Finding]:
    """Yield the reasons why sensors dispatch nothing now. For a question about a trigger."""
    if not facts.are_sensors_known:
        return
    life = facts.life
    is_from_sensor = life is None or life.sensor not in ("", CORE_PACK)
    if not facts.sensors and facts.trigger_type is not None and is_from_sensor:
        yield cause(
            "no-sensor",
            f"no registered sensor emits {facts.trigger_type.ref}",
            "name it in the trigger_types of a sensor, or enable the sensor that serves it, and run st2ctl reload",
        )
    for sensor in facts.sensors:
        if sensor.state == ELSEWHERE:
            yield cause(
                "sensor-elsewhere",
                f"{sensor.ref} runs on another node: {sensor.reason}",
                f"ask there: st2sensor why {facts.asked} on node {sensor.node or 'that holds it'}",
            )
        elif sensor.state == DISABLED:
            code, remedy = STATES[DISABLED]
            yield cause(code, f"{sensor.ref} is disabled", remedy.format(sensor.ref))
        elif sensor.state in STATES:
            code, remedy = STATES[sensor.state]
            if sensor.state != DOWN or not _is_said(facts):
                yield cause(code, f"{sensor.ref} is {sensor.state}: {sensor.reason}", remedy.format(sensor.ref))
        elif sensor.failing:
            yield cause(
                "sensor-failing",
                f"{sensor.ref} keeps failing: {sensor.reason}",
                STATES["backoff"][1].format(sensor.ref),
            )
        elif sensor.hang is not None:
            yield cause(
                "sensor-hangs",
                f"{sensor.ref} is in {sensor.hang.what}",
                f"st2sensor logs {sensor.ref} has its stack, once a limit is set",
            )
        elif sensor.triggered_at is None and life is None:
            yield cause(
                "nothing-dispatched",
                f"{sensor.ref} runs, and has dispatched nothing since its container started",
                f"st2sensor logs {sensor.ref} shows what it does; if it serves rules, st2sensor triggers shows them",
            )


def of_search(facts: Facts) -> Iterator[Finding]:
    """Yield that there is no event, and which rule the question names."""
    if facts.rule is not None:
        yield note("rule-named", f"{facts.rule} is a rule; its trigger type is {facts.subject}")
    if facts.namesakes:
        names = ", ".join(facts.namesakes)
        yield cause("rule-ambiguous", f"{facts.asked} is the name of several rules: {names}", "name one with its pack")
    elif facts.life is not None or not facts.are_events_known:
        return
    elif not facts.is_trigger:
        yield cause(
            "event-unknown",
            f"no event with the message_id or trace tag {facts.asked} is known here",
            "check it, and ask on the node whose sensor dispatched it; name the trigger instead to see its rules",
        )
    elif facts.trigger_type is not None:
        yield note("no-event", f"no event of {facts.subject} is kept here")


def of_life(facts: Facts) -> Iterator[Finding]:
    """Yield the events in the life of an event before the broker had it."""
    life = facts.life
    if life is None:
        return
    if life.is_dead:
        yield _dead(life)
    elif life.is_waiting:
        yield from _waiting(facts, life)
    if life.attempts:
        last = life.attempts[-1]
        times = sum(attempt.times for attempt in life.attempts)
        yield note("attempts", f"publishing it failed {times} time{'s' * (times > 1)}, at last: {last.refusal}")
    if life.unrouted is not None:
        yield cause(
            "unrouted",
            "the broker had no queue for it",
            # The rules engine drops JSON.
            "bind a queue to the exchange"
            if facts.publishing.serializer == "json"
            else "bind a queue to the exchange, or start StackStorm's rules engine once, which declares its own",
        )
    published = life.confirmed
    if published is not None and published - life.created > LONG:
        yield note(
            "delayed",
            f"it reached the broker {published - life.created:.0f} s after its dispatch",
            "rules that compare times see the delay; the container's log says why the broker was away",
        )
    if life.is_late:
        yield note(
            "late",
            "it was published after its sensor's lease was over, so a consumer may drop it",
            "consumers see the header st2sensor-late; docs/sharing.md has the fences",
        )
    if life.replayed is not None:
        yield note("replayed", "it was published again by hand, under the same message_id")
    if any(other.message_id == life.message_id for other in facts.lives[1:]):
        yield note(
            "duplicate",
            f"there are {sum(other.message_id == life.message_id for other in facts.lives)} events with its message_id",
            "a consumer that drops repeats takes the first one",
        )


def _is_said(facts: Facts) -> bool:
    """Return whether `of_life` says that no container is running."""
    return facts.life is not None and facts.life.is_waiting and facts.checks is None and facts.are_checks_known


def _dead(life: EventLife) -> Finding:
    code, remedy = next(
        ((code, remedy) for words, code, remedy in DEAD if words in life.reason),
        ("dead", "correct what the reason names"),
    )
    return cause(
        code, f"it is a dead letter: {life.reason}", f"{remedy}; then st2sensor dead-letters replay publishes it"
    )


def _waiting(facts: Facts, life: EventLife) -> Iterator[Finding]:
    """Yield why an event is still in the outbox."""
    waited = f"it has been waiting in the outbox for {max(0.0, facts.now - life.created):.0f} s"
    if not facts.are_checks_known:
        yield cause("waiting", waited, "ask as a user who may ask the container")
        return
    if facts.checks is None:
        yield cause("waiting-no-container", f"{waited}, and no container is running here", "st2ctl start starts one")
        return
    failed = {check.name: check.reason for check in facts.checks if not check.ok}
    if "routing keys" in failed:
        yield cause("waiting-forbidden", f"{waited}: {failed['routing keys']}", "grant the topic permission")
    if "broker" in failed:
        blocked = "blocks its publishers" in failed["broker"]
        remedy = (
            "free memory or disk on the broker's host" if blocked else "start the broker, or correct [messaging] url"
        )
        yield cause("waiting-blocked" if blocked else "waiting-broker", f"{waited}: {failed['broker']}", remedy)
    if not {"routing keys", "broker"} & failed.keys():
        yield cause("waiting", f"{waited}; others are before it", "st2sensor top --once shows the outbox")
