"""Checks a sensor's code: whether it loads, the methods that its class lacks, and the triggers that it dispatches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from packaging.utils import canonicalize_name

from st2sensor.errors import ContentError
from st2sensor.packs.code import imports
from st2sensor.packs.code.check import Problem, problem_of
from st2sensor.packs.code.location import Code, located
from st2sensor.packs.metadata import SensorDeclaration
from st2sensor.packs.validation import dispatches, program
from st2sensor.packs.validation.classes import BASES, Class, Method, class_of
from st2sensor.packs.validation.dispatches import Dispatch
from st2sensor.packs.validation.finding import Finding, Severity, found
from st2sensor.settings import Content

MISSING = re.compile(r"No module named '(\w+)")

UNCERTAIN = frozenset({"missing-module", "import"})
"""Kinds of problems that a missing requirement may cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The result of checking one sensor's code.

    :param is_complete: whether `dispatches` holds every dispatch of the code, each with a known trigger.
    """

    findings: tuple[Finding, ...]
    dispatches: tuple[Dispatch, ...]
    is_complete: bool


def check(
    sensor: SensorDeclaration,
    content: Content,
    *,
    is_certain: bool,
    is_configured: bool,
    lacking: frozenset[str] = frozenset(),
) -> Reading:
    """Load a sensor's code in a separate process, and read it.

    :param is_certain: whether a module that cannot be imported is missing for the container as well.
    :param is_configured: whether `content` comes from an operator's configuration.
    :param lacking: the canonical names of packages that are already reported as not installed.
    """
    code = located(sensor.sensor, content)
    own = [path for path in (*code.own_paths, code.pack / "lib") if path.is_relative_to(code.pack)]
    read = program.read(imports.modules(code.file, own))
    seen = dispatches.dispatches(read)
    shape = class_of(read, sensor.sensor.class_name)
    findings = list(_loading(sensor, code, lacking, is_certain=is_certain, is_configured=is_configured))
    if shape is not None:
        findings += _class(sensor, shape, {(finding.rule, finding.line) for finding in findings})
    is_complete = (
        shape is not None and dispatches.is_all(read) and all(dispatch.triggers is not None for dispatch in seen)
    )
    return Reading(findings=tuple(findings), dispatches=tuple(seen), is_complete=is_complete)


def _loading(
    sensor: SensorDeclaration, code: Code, lacking: frozenset[str], *, is_certain: bool, is_configured: bool
) -> Iterator[Finding]:
    pack = sensor.sensor.pack
    try:
        problem = problem_of(code, keep_compiled=False)
        if problem is not None and problem.kind == "common-libs" and not is_configured:
            # The configuration of the host where the pack will run decides whether its lib/ is importable.
            yield found(pack, _error(sensor, problem), problem.kind, Severity.WARNING)
            with_lib = replace(code, library_paths=(code.pack / "lib",))
            problem = problem_of(with_lib, keep_compiled=False)
    except ContentError as error:
        yield found(pack, error, "not-importable")
        return
    if problem is not None and problem.kind in UNCERTAIN and not is_certain:
        module = MISSING.search(problem.message)
        if module is not None and canonicalize_name(module[1]) in lacking:
            return
        reason = problem.message.rpartition("; ")[0]
        message = f"{reason}; this may change once the pack's requirements are installed"
        doubt = ContentError(message, file=problem.file, line=problem.line)
        yield found(pack, doubt, "not-checked", Severity.WARNING)
    elif problem is not None:
        yield found(pack, _error(sensor, problem), problem.kind)


def _error(sensor: SensorDeclaration, problem: Problem) -> ContentError:
    if problem.in_metadata:
        return sensor.file.error(problem.message, ["class_name" if problem.kind == "class-name" else "entry_point"])
    return ContentError(problem.message, file=problem.file, line=problem.line)


def _class(sensor: SensorDeclaration, shape: Class, told: set[tuple[str, int | None]]) -> Iterator[Finding]:
    """Yield the problems in the class's source that loading it has not already reported."""
    pack, name = sensor.sensor.pack, sensor.sensor.class_name
    if shape.missing and ("abstract-methods", shape.line) not in told:
        lacks = f"class {name} lacks {', '.join(shape.missing)}; define every method of its base"
        yield found(pack, ContentError(lacks, file=str(shape.file), line=shape.line), "abstract-methods")
    refused = shape.constructor(sensor.sensor.poll_interval is not None)
    if refused is not None and ("constructor", refused[1].line) not in told:
        message, method = refused
        yield found(pack, ContentError(message, file=str(method.file), line=method.line), "constructor")
    for rule, message, method in shape.unworkable():
        if (rule, method.line) not in told:
            yield found(pack, ContentError(message, file=str(method.file), line=method.line), rule)
    if shape.kind == "Sensor" and sensor.sensor.poll_interval:
        message = (
            f"poll_interval has no effect: {name} derives from Sensor; derive {name} from PollingSensor, or remove "
            "poll_interval"
        )
        yield found(pack, sensor.file.error(message, ["poll_interval"]), "poll-interval", Severity.WARNING)
    for kind, work in BASES.items():
        place = shape.methods.get(work)
        if kind != shape.kind and place is not None and work not in shape.names:
            yield found(pack, _never_called(name, shape, work, place), "unused-method", Severity.WARNING)


def _never_called(name: str, shape: Class, method: str, place: Method) -> ContentError:
    message = (
        f"{method}() is never called: {name} derives from {shape.kind}; derive {name} from PollingSensor, or remove "
        f"{method}()"
    )
    if shape.kind == "PollingSensor":
        message = (
            f"run() replaces the loop that calls poll(): {name} derives from PollingSensor; derive {name} from "
            "Sensor, or remove run()"
        )
    return ContentError(message, file=str(place.file), line=place.line)
