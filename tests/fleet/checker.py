"""Checks the promises of sharing sensors against the ledger and the journal of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

from tests.fleet.ledger import Record
from tests.fleet.pack import Line

Span = tuple[float, float]
"""From and to, CLOCK_BOOTTIME in seconds."""

RESENT = 8.0
"""Seconds within which TCP resends after a link was cut for at most ten seconds: its wait doubles each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    rule: str
    sensor: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """:param records: in the order of arrival; :param lines: of the journal.

    :param observed: when all sensors should run; :param excused: when none has to run.
    :param gap: maximum seconds without a sign of a sensor.
    :param in_flight: seconds for which a message sent before a takeover may arrive after it without a mark.
    :param cuts: when a link to the broker was cut: TCP resends the messages in flight when the link is back.
    """

    records: Sequence[Record]
    lines: Sequence[Line]
    observed: Span
    gap: float
    in_flight: float
    excused: Sequence[Span] = ()
    cuts: Sequence[Span] = ()


def check(run: Run, sensors: Iterable[str]) -> list[Violation]:
    """Return the violations of the rules by these sensors."""
    return [
        Violation(rule=rule, sensor=sensor, text=text)
        for sensor in sensors
        for rule, look in RULES.items()
        for text in look(of_sensor(run, sensor))
    ]


def of_sensor(run: Run, sensor: str) -> Run:
    """The records of one sensor."""
    return replace(
        run,
        records=[record for record in run.records if record.sensor == sensor],
        lines=[line for line in run.lines if line.sensor == sensor],
    )


def gaps(run: Run) -> Iterator[tuple[float, Span]]:
    """Times in a run without a sign of a sensor: seconds, without excused ones, and from when to when."""
    begin, end = run.observed
    stamps = [sign.at for sign in _signs(run) if begin < sign.at < end]
    for span in pairwise([begin, *sorted(stamps), end]):
        yield span[1] - span[0] - shared(span, run.excused), span


def _exclusive(run: Run) -> Iterator[str]:
    for low, high, after, first in _overlaps((sign.fence or 0, sign.at) for sign in _signs(run)):
        yield f"fence {low} was at work {after - first:.3f} s after fence {high} had begun, at {first:.3f}"


def _alone(run: Run) -> Iterator[str]:
    work: dict[tuple[int | None, int], list[float]] = defaultdict(list)
    for sign in _signs(run):
        work[sign.fence, sign.pid].append(sign.at)
    for (first, one), (second, another) in combinations(work, 2):
        begin = max(min(work[first, one]), min(work[second, another]))
        end = min(max(work[first, one]), max(work[second, another]))
        if first == second and begin <= end:
            yield f"processes {one} and {another} of fence {first} were both at work, from {begin:.3f} to {end:.3f}"


def _ranges(run: Run) -> Iterator[str]:
    for low, high, last, first in _overlaps((record.fence or 0, record.n) for record in run.records):
        yield f"fence {low} has {last:g}, fence {high} begins with {first:g}"


def _lost(run: Run) -> Iterator[str]:
    came = {record.n for record in run.records}
    if missing := sorted(set(range(1, max(came, default=0) + 1)) - came):
        yield f"missing of 1..{max(came)}: {missing}"
    arrived = {(record.fence, record.pid, record.n) for record in run.records}
    accepted = [(line.fence, line.pid, line.n) for line in run.lines if line.n is not None]
    if lost := [triple for triple in accepted if triple not in arrived]:
        yield f"accepted and not arrived, as (fence, pid, n): {lost}"


def _repeated(run: Run) -> Iterator[str]:
    identities: dict[int, set[str]] = defaultdict(set)
    for record in run.records:
        identities[record.n].add(record.message_id)
    for n, found in identities.items():
        if len(found) > 1:
            yield f"{n} came as {len(found)} messages: {sorted(found)}"


def _gap(run: Run) -> Iterator[str]:
    for seconds, (begin, end) in gaps(run):
        if seconds > run.gap:
            yield f"no sign for {seconds:.3f} s, from {begin:.3f} to {end:.3f}"


def _header(run: Run) -> Iterator[str]:
    last: dict[int, int] = defaultdict(int)
    for record in run.records:
        last[record.fence or 0] = max(last[record.fence or 0], record.n)
    for record in run.records:
        # The last batch of a fence may be unfinished; it is then carried out under a later fence.
        carried = record.n == last[record.fence or 0] and (record.header or 0) > (record.fence or 0)
        if record.header != record.fence and not carried:
            yield f"{record.n} of fence {record.fence} has fence {record.header} in its header"


def _marked(run: Run) -> Iterator[str]:
    first: dict[int, float] = {}
    for record in run.records:
        fence = record.fence or 0
        first.setdefault(fence, record.arrived)
        since = min((arrived for other, arrived in first.items() if other > fence), default=record.arrived)
        after = record.arrived - since
        if not record.late and after > run.in_flight and not _was_cut_off(record, run):
            yield f"{record.n} of fence {fence} came {after:.3f} s after a higher fence, without a mark"


def _was_cut_off(record: Record, run: Run) -> bool:
    """Whether a message was in flight when a link was cut, and came as soon as it was back: it cannot be marked."""
    return any(
        abs(record.at - begin) <= run.in_flight and record.arrived <= end + RESENT + run.in_flight
        for begin, end in run.cuts
    )


RULES: dict[str, Callable[[Run], Iterator[str]]] = {
    "exclusive": _exclusive,
    "alone": _alone,
    "ranges": _ranges,
    "lost": _lost,
    "repeated": _repeated,
    "gap": _gap,
    "header": _header,
    "marked": _marked,
}


def _signs(run: Run) -> Iterator[Record | Line]:
    """The moments at which a sensor was at work."""
    yield from run.records
    yield from run.lines


def _overlaps(values: Iterable[tuple[int, float]]) -> Iterator[tuple[int, int, float, float]]:
    """Successive fences of which the lower has a value above the least of the next: both, and the two values."""
    by_fence: dict[int, list[float]] = defaultdict(list)
    for fence, value in values:
        by_fence[fence].append(value)
    for high in by_fence:
        first = min(by_fence[high])
        for low in by_fence:
            if low < high and max(by_fence[low]) >= first:
                yield low, high, max(by_fence[low]), first


def shared(span: Span, others: Sequence[Span]) -> float:
    """Seconds of a span that are also in other spans, which may overlap."""
    total, reached = 0.0, span[0]
    for begin, end in sorted(others):
        begin, end = max(begin, reached), min(end, span[1])
        if end > begin:
            total, reached = total + end - begin, end
    return total
