"""Validates packs together, because one may dispatch triggers that another declares."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from st2sensor.errors import ContentError
from st2sensor.packs import instances, overrides
from st2sensor.packs.code import virtualenv
from st2sensor.packs.configuration import pack_config
from st2sensor.packs.configuration import source as pack_source
from st2sensor.packs.configuration.checker import Checker
from st2sensor.packs.configuration.source import Layer, config_file
from st2sensor.packs.configuration.templates import FUNCTIONS
from st2sensor.packs.instances import PackInstances
from st2sensor.packs.validation import code, configuration, repeated, requirements, triggers
from st2sensor.packs.validation.declarations import Declarations, declarations, reference
from st2sensor.packs.validation.finding import Finding, Severity, found
from st2sensor.packs.validation.triggers import Known
from st2sensor.secrets.sources import SecretSources
from st2sensor.settings import Content, Secrets
from st2sensor.workers.pool import Pool

NOWHERE = Path(os.devnull)
"""A path without configurations and virtualenvs."""


INSTANCES = "instances"
"""Name of the rule, as printed in brackets, for findings in a file of instances."""

UNREAD = frozenset({"sensor-metadata", "unreadable-folder"})
"""Findings that mean that not every sensor of a pack is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of validating packs.

    :param findings: sorted by pack, file and line.
    :param packs: the number of packs that were read.
    :param sensors: the number of their sensors.
    """

    findings: tuple[Finding, ...]
    packs: int
    sensors: int


def validate(
    folders: Sequence[Path],
    content: Content | None,
    configs: Mapping[str, Path] | None = None,
    secrets: Secrets | None = None,
) -> Report:
    """Find every problem in some packs. Raises ContentError for a folder that is not a pack.

    :param content: where virtualenvs and configurations are; None when nothing is configured.
    :param configs: configurations to check in place of those of `content`, by pack.
    :param secrets: the sources that configurations may take secrets from; None when nothing is configured.
    """
    whole = [declarations(Path(os.path.abspath(folder))) for folder in folders]
    types = triggers.known(whole)
    findings = [*_duplicates(whole)]
    sources = SecretSources(secrets)
    pool = ThreadPoolExecutor(max_workers=os.cpu_count())
    with ExitStack() as stack:
        # After an interruption, waiting checks are not started.
        stack.callback(pool.shutdown, cancel_futures=True)
        workers = stack.enter_context(closing(Pool(FUNCTIONS)))
        for pack in whole:
            findings += [*pack.findings, *_overrides(pack, content)]
            findings += triggers.check_rules(pack, types, Checker(workers))
            file = _config(pack.pack.ref, content, configs or {})
            listed = instances.load(None if content is None else content.instances_path, pack.pack.ref)
            findings += configuration.check(pack.pack, file, workers, sources, is_used=_is_used(pack, listed))
            findings += _instances(pack, listed, file, workers, sources)
            findings += repeated.check(pack.pack, _elsewhere(pack.pack.ref, file, content))
            findings += _code(pack, content, types, pool)
    # Sensors share modules, so findings may repeat.
    unique = sorted(set(findings), key=lambda item: (item.pack, item.file, item.line or 0, item.rule, item.message))
    return Report(findings=tuple(unique), packs=len(whole), sensors=sum(len(pack.sensors) for pack in whole))


def pack_refs(folders: Sequence[Path]) -> list[str]:
    """Return the references of packs, in order. Raises ContentError."""
    return [reference(Path(os.path.abspath(folder)))[0] for folder in folders]


def _duplicates(whole: Sequence[Declarations]) -> Iterator[Finding]:
    first: dict[str, Path] = {}
    for pack in whole:
        path = first.setdefault(pack.pack.ref, pack.pack.path)
        if path != pack.pack.path:
            problem = f"pack {pack.pack.ref} is already in {path}; give one of them another ref"
            yield found(pack.pack.ref, ContentError(problem, file=str(pack.pack.path / "pack.yaml")), "duplicate")


def _config(pack: str, content: Content | None, configs: Mapping[str, Path]) -> Path | None:
    if pack in configs or content is None:
        return configs.get(pack)
    return config_file(content.configs_path, pack)


def _overrides(pack: Declarations, content: Content | None) -> list[Finding]:
    """Apply an operator's overrides to a pack, and find the errors in them."""
    if content is None:
        return []
    try:
        loaded = overrides.load(content.overrides_path, pack.pack.ref)
    except ContentError as error:
        try:
            problems = overrides.every_problem(content.overrides_path, pack.pack.ref) or [error]
        except ContentError:
            problems = [error]
        return [found(pack.pack.ref, problem, "overrides") for problem in problems]
    pack.rules = [rule for rule in pack.rules if not loaded.disables(rule.name)]
    applied = [loaded.apply(item.sensor) for item in pack.sensors]
    warnings = [*loaded.warnings]
    for sensor, own in applied:
        warnings += loaded.strange_types(sensor, own.limits)
    pack.sensors = [replace(item, sensor=sensor) for item, (sensor, _) in zip(pack.sensors, applied, strict=True)]
    if pack.sensors and not any(finding.rule in UNREAD for finding in pack.findings):
        warnings += loaded.strangers({item.sensor.name for item in pack.sensors})
    return [found(pack.pack.ref, warning, "overrides", Severity.WARNING) for warning in warnings]


def _is_used(pack: Declarations, listed: PackInstances) -> bool:
    """Return whether a sensor of the pack runs without an instance."""
    return not pack.sensors or any(item.sensor.name not in listed.classes for item in pack.sensors)


def _instances(
    pack: Declarations, listed: PackInstances, config: Path | None, workers: Pool, secrets: SecretSources
) -> Iterator[Finding]:
    """Check the instances of a pack's sensors, each with its configuration."""
    ref = pack.pack.ref
    yield from (found(ref, problem.error, INSTANCES) for problem in listed.problems)
    if listed.file is None or listed.is_broken:
        return
    sensors = {item.sensor.name: item.sensor for item in pack.sensors}
    if not any(finding.rule in UNREAD for finding in pack.findings):
        yield from (found(ref, error, INSTANCES) for error in instances.strangers(listed, ref, sensors))
    types = {item.type.ref: item.type for item in pack.triggers}
    try:
        source = pack_source.source_of(config or NOWHERE / f"{ref}.yaml", pack.pack.path)
    except ContentError:
        # Another check reports the configuration or its schema.
        return
    for of_class, named in listed.classes.items():
        for name, values in named.items() if of_class in sensors else ():
            if listed.errors(of_class, name):
                continue
            sensor = sensors[of_class]
            misplaced = instances.misplaced_triggers(listed, sensor, name, types)
            yield from (found(ref, error, INSTANCES) for error in misplaced)
            place = (sensor.ref, name, instances.CONFIG)
            layer = Layer(
                path=Path(listed.file.shown), file=listed.file, place=place, values=values.get(instances.CONFIG) or {}
            )
            problems = configuration.problems_of(replace(source, layer=layer), workers, secrets)
            yield from (found(ref, error, INSTANCES) for error in problems)
            unknown = pack_config.unknown_keys(replace(source, layer=layer))
            yield from (found(ref, error, "config-key", Severity.WARNING) for error in unknown)


def _elsewhere(pack: str, config: Path | None, content: Content | None) -> list[Path]:
    """Return the operator's files for a pack."""
    if content is None:
        return [] if config is None else [config]
    others = (config, content.overrides_path / f"{pack}.yaml", instances.file_of(content.instances_path, pack))
    return [path for path in others if path is not None]


def _code(pack: Declarations, content: Content | None, types: Known, pool: ThreadPoolExecutor) -> Iterator[Finding]:
    """Check the requirements and the code of a pack's sensors."""
    used = content or Content(pack_paths=(), configs_path=NOWHERE, virtualenvs_path=NOWHERE, overrides_path=NOWHERE)
    python = virtualenv.unsupported(pack.pack, used.virtualenvs_path) if pack.sensors else None
    if python is not None:
        yield found(pack.pack.ref, python, "python-version", Severity.WARNING)
    required = requirements.check(
        pack.pack.ref, pack.pack.path, used.virtualenvs_path, is_configured=content is not None
    )
    refusal = None if content is None else _refusal(pack, content)
    if refusal is None:
        yield from required.findings
    else:
        yield refusal
        yield from (finding for finding in required.findings if finding.rule != requirements.NOT_INSTALLED)
    # With a configuration, the interpreter is the container's, and a module that is missing there is an error. In any #
    # other interpreter, it may be missing merely because the pack's requirements are not installed.
    is_certain = required.are_met if content is None else refusal is None
    readings = list(
        pool.map(
            lambda sensor: code.check(
                sensor,
                used,
                is_certain=is_certain,
                is_configured=content is not None,
                lacking=required.lacking if refusal is None else frozenset(),
            ),
            pack.sensors,
        )
    )
    for sensor, reading in zip(pack.sensors, readings, strict=True):
        yield from reading.findings
        yield from triggers.check_dispatches(sensor, reading.dispatches, types)
    if pack.is_whole and all(reading.is_complete for reading in readings):
        dispatched = [dispatch for reading in readings for dispatch in reading.dispatches]
        yield from triggers.check_undispatched(pack, dispatched)


def _refusal(pack: Declarations, content: Content) -> Finding | None:
    """Return why the container would refuse the pack's sensors before it loads them, or None."""
    try:
        if pack.sensors:
            virtualenv.check(content.virtualenvs_path, pack.pack.ref, pack.pack.path)
    except ContentError as error:
        return found(pack.pack.ref, error, "no-virtualenv")
    return None
