"""Reports the state of the container and its sensors to commands, the status page and metrics."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import st2sensor
from st2sensor.container.desired.membership import Membership
from st2sensor.container.desired.snapshot import Snapshot
from st2sensor.container.operators.clipping import ALONE, clipped
from st2sensor.container.operators.hangs import Hangs
from st2sensor.container.operators.locations import BY_PARTITION, Locations, Place
from st2sensor.container.operators.pipeline import Pipeline
from st2sensor.container.operators.usage import Blocking, Sampler
from st2sensor.container.supervision.child import Child, State, is_healthy, summary
from st2sensor.container.supervision.children import Children
from st2sensor.container.supervision.recorder import Recorder
from st2sensor.delivery.unrouted import told
from st2sensor.dispatch.traffic import per_minute
from st2sensor.errors import OutboxError
from st2sensor.expectations.silence import words
from st2sensor.health import Health, changed
from st2sensor.models import Expectation, SensorType, Silence
from st2sensor.reports import (
    DISABLED,
    REFUSED,
    TURN,
    WAITING,
    Check,
    NodeReport,
    SensorReport,
    SharingReport,
)
from st2sensor.settings import Settings
from st2sensor.trouble import crash_loops, judged, summaries

LOG = logging.getLogger("st2sensor.operators")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The sources of a report that belong to the container itself.

    :param known: returns the content of storage; None until it is known.
    :param desired: returns the sensors that should run here.
    :param database: returns the health of the database.
    :param membership: returns the membership if sensors are shared; None if they are not.
    :param page: returns the health of the status page; None if there is no page.
    :param silence_of: returns how long a sensor has been quiet; None if nothing is expected of it here.
    """

    known: Callable[[], Snapshot | None]
    desired: Callable[[], Mapping[str, str]]
    database: Callable[[], Health]
    membership: Callable[[], Membership | None]
    page: Callable[[], Health | None]
    silence_of: Callable[[str], Silence | None]
    children: Children
    hangs: Hangs
    recorder: Recorder
    sampler: Sampler


class Reporter:
    """For the loop's thread.

    :param blocking: runs a call that reads files in another thread.
    """

    def __init__(
        self, settings: Settings, sources: Sources, pipeline: Pipeline, blocking: Blocking, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._pipeline = pipeline
        self._blocking = blocking
        self._clock = clock
        self._children = sources.children
        self._traffic = pipeline.traffic
        self._outbox = pipeline.outbox
        self._started = time.time()
        self._room = Health(reason="")
        """Health of the outbox."""
        self._calm = Health(reason="")
        """Whether no sensor keeps failing."""

    async def sensors(self, after: str = "", most: int | None = None) -> list[SensorReport]:
        """Return a report of every registered sensor, sorted by reference, with shortened texts.

        :param after: skip the sensors up to this reference.
        :param most: maximum number of reports.
        """
        if not after:
            await self._sources.sampler.sample_all(self._children.process_ids())
        locations = self._locations()
        chosen = [ref for ref in self._refs() if ref > after][:most]
        return [judged(clipped(self._sensor(ref, locations))) for ref in chosen]

    async def sensor(self, ref: str) -> SensorReport | None:
        """Return a report of one sensor; None if it is not registered."""
        known = self._sources.known() or Snapshot()
        if ref not in known.listed and ref not in self._children.states:
            return None
        pid = self._children.process_id(ref)
        if pid is not None:
            await self._sources.sampler.sample(pid)
        return judged(clipped(self._sensor(ref, self._locations()), short=ALONE, long=ALONE))

    async def node(self, sensors: Sequence[SensorReport] | None = None) -> NodeReport:
        """Return a report of the container itself.

        :param sensors: the reports of all sensors if they have just been made; None to make them for the notes.
        """
        await self._sources.sampler.sample_all(self._children.process_ids())
        usage = self._sources.sampler.own
        return NodeReport(
            name=self._settings.container.node_name,
            version=st2sensor.__version__,
            pid=os.getpid(),
            started=self._started,
            source=self._settings.source,
            summary=summary(self._children.states.values()),
            checks=self.checks(),
            outbox_depth=self._outbox.depth,
            outbox_size=self._settings.outbox.max_size,
            outbox_bytes=self._outbox.size,
            outbox_max_bytes=self._settings.outbox.max_bytes,
            outbox_oldest=await self._blocking(self._oldest),
            latencies=tuple(self._traffic.latencies),
            latency_sum=self._traffic.latency_sum,
            memory=usage.memory,
            cpu=usage.cpu,
            notes=self.notes(sensors),
            sharing=self._sharing(),
            push=self._pipeline.push(),
            history=self._pipeline.history.problem,
        )

    def throughput(self) -> tuple[int, int]:
        """Return the number of triggers since the container started, and of those that wait in the outbox."""
        return self._traffic.total, self._outbox.depth

    def checks(self) -> tuple[Check, ...]:
        """Return whether the container has everything that it needs, and whether its sensors stay alive."""
        depth = self._outbox.depth
        waiting = "1 trigger is waiting" if depth == 1 else f"{depth} triggers are waiting"
        full = "" if self._outbox.has_room else f"{waiting} and there is no room for more: dispatch() waits"
        self._room = changed(self._room, self._outbox.problem or full)
        self._calm = changed(self._calm, crash_loops(child.ref for child in self._failing()))
        broker = self._pipeline.broker()
        later = f"; {waiting} in the outbox and will be sent when the broker is back" if depth else ""
        return (
            _check("broker", broker, "" if broker.ok else later),
            _check("database", self._sources.database()),
            _check("outbox", self._room),
            _check("routing keys", self._pipeline.held_back()),
            _check("sensors", self._calm),
            *self._of_optional_parts(),
        )

    def notes(self, sensors: Sequence[SensorReport] | None = None) -> tuple[str, ...]:
        """Return the sensors' troubles that no check reports, and remarks about the container, each as a line.

        :param sensors: as for `node`.
        """
        if sensors is None:
            locations = self._locations()
            sensors = [judged(self._sensor(ref, locations)) for ref in self._refs()]
        found = summaries(sensors)
        unrouted = told(self._outbox.unrouted, self._pipeline.unrouted_keys())
        pushed = (report.trouble for report in self._pipeline.push())
        remarks = [self._pipeline.audience().reason, unrouted, self._pipeline.history.problem, *pushed]
        return (*found, *filter(None, remarks))

    def _refs(self) -> list[str]:
        """Return the references of all sensors, sorted."""
        known = self._sources.known() or Snapshot()
        return sorted(self._children.states.keys() | known.listed)

    def _of_optional_parts(self) -> Iterable[Check]:
        if (page := self._sources.page()) is not None:
            yield _check("status page", page)
        membership = self._sources.membership()
        if membership is not None:
            health = membership.health
            yield _check("leases", health, "" if health.ok else f"; {membership.time_left()}")

    def _locations(self) -> Locations | None:
        membership = self._sources.membership()
        return None if membership is None else Locations(membership, self._settings.container.node_name)

    def _sharing(self) -> SharingReport | None:
        known, locations = self._sources.known() or Snapshot(), self._locations()
        if locations is None:
            return None
        enabled = (sensor.ref for sensor in known.sensors.values() if sensor.enabled)
        return locations.report({ref: known.needs_of(ref) for ref in enabled})

    def _oldest(self) -> float | None:
        try:
            return self._outbox.oldest()
        except OutboxError as exception:
            LOG.warning("%s", exception)
            return None

    def _failing(self) -> list[Child]:
        return [child for child in self._children.states.values() if self._is_failing(child)]

    def _is_failing(self, child: Child) -> bool:
        """Return whether a sensor has failed repeatedly, and has not run well for long enough since."""
        restarts = self._settings.container.restarts
        return child.failures >= restarts.failing_after and not is_healthy(child, self._clock(), restarts)

    def _is_back(self, child: Child) -> bool:
        """Return whether a sensor is running, and has dispatched since it started."""
        ago = self._clock() - child.since
        return child.state is State.RUNNING and self._traffic.of(child.ref).last_at > time.time() - ago

    def _sensor(self, ref: str, locations: Locations | None) -> SensorReport:
        known = self._sources.known() or Snapshot()
        child, sensor = self._children.states.get(ref), known.sensors.get(ref)
        registration = known.registrations.get(ref)
        record, flow, recent = self._sources.recorder.of(ref), self._traffic.of(ref), self._traffic.recent(ref)
        pid = self._children.process_id(ref)
        usage = self._sources.sampler.of(pid)
        refused = registration.error if registration else None
        place = locations.of(ref, known.needs_of(ref)) if locations else BY_PARTITION
        state, reason = (child.state.value, child.reason) if child else self._without_child(ref, sensor, refused, place)
        is_failing, is_back = child is not None and self._is_failing(child), child is not None and self._is_back(child)
        expected, silence = known.overrides_of(ref).expect or Expectation(), self._sources.silence_of(ref)
        return SensorReport(
            ref=ref,
            state=state,
            node=place.node,
            fence=place.fence,
            reason=reason,
            since=self._wall(child.since) if child else None,
            pid=pid,
            restarts=record.restarts,
            failures=child.failures if child else 0,
            failing=is_failing and not is_back,
            recovering=is_failing and is_back,
            hang=self._sources.hangs.of(ref),
            next_start=self._wall(child.due) if child and child.state is State.BACKOFF else None,
            last_exit=record.last_exit,
            last_error=record.last_error,
            dropped=record.dropped,
            refused=refused,
            refused_types=known.refusals_of(ref),
            missing_types=known.missing_of(ref),
            held_back=self._pipeline.held_of().get(ref, ""),
            last_poll=record.poll_of(self._clock()),
            silent=words(silence.missing, expected) if silence else "",
            silent_since=silence.since if silence else None,
            expect_event=expected.event,
            expect_poll=expected.poll,
            failed_polls=record.failed_polls,
            polls=record.polls,
            poll_seconds=record.poll_seconds,
            trigger=flow.last_trigger,
            triggered_at=flow.last_at or None,
            triggers_per_minute=per_minute(recent),
            recent=tuple(recent),
            dispatched=flow.dispatched,
            invalid=flow.invalid,
            last_invalid=flow.last_invalid,
            dead=self._traffic.dead(ref),
            unrouted=self._traffic.not_routed(ref),
            **self._pipeline.limited(ref, known.overrides_of(ref).limits),
            memory=round(usage.memory, -5) if usage else None,
            own_memory=round(usage.own, -5) if usage else None,
            cpu=round(usage.cpu, 2) if usage else None,
            digest=child.digest if child else None,
            file=sensor.artifact_uri.removeprefix("file://") if sensor else None,
            poll_interval=sensor.poll_interval or None if sensor else None,
            trigger_types=sensor.trigger_types if sensor else (),
        )

    def _without_child(self, ref: str, sensor: SensorType | None, refused: str | None, place: Place) -> tuple[str, str]:
        if sensor is None:
            return REFUSED, refused or ""
        if not sensor.enabled:
            return DISABLED, f"it is disabled; st2sensor enable {ref} starts it"
        if ref in self._sources.desired():
            return WAITING, TURN
        return place.state, place.reason

    def _wall(self, monotonic: float | None) -> float | None:
        # Rounded, so that every call returns the same time.
        return None if monotonic is None else round(time.time() - (self._clock() - monotonic), 1)


def _check(name: str, health: Health, more: str = "") -> Check:
    return Check(name=name, ok=health.ok, since=health.since, reason=health.reason + more)
