"""Reads the sensors, trigger types and rules that a pack declares, and collects the errors in their files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from st2sensor.errors import ContentError
from st2sensor.models import Pack, TriggerType
from st2sensor.packs import metadata
from st2sensor.packs.discovery import metadata_files
from st2sensor.packs.metadata import RuleDeclaration, SensorDeclaration
from st2sensor.packs.registrable import RULES, SENSORS, TRIGGERS
from st2sensor.packs.validation.finding import Finding, Severity, found
from st2sensor.packs.yaml_files import read


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A declared trigger type. :param owner: the metadata file of its sensor; None for a type in triggers/."""

    type: TriggerType
    file: str
    line: int | None
    owner: Path | None


@dataclass(slots=True, kw_only=True)
class Declarations:
    """The declarations of one pack.

    :param named: references of trigger types, including those in files with mistakes.
    :param is_whole: whether every file of sensors/ and triggers/ could be parsed, so that no declaration is unknown.
    """

    pack: Pack
    sensors: list[SensorDeclaration] = field(default_factory=list)
    triggers: list[Declared] = field(default_factory=list)
    rules: list[RuleDeclaration] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    is_whole: bool = True


def declarations(path: Path) -> Declarations:
    """Read a pack. Raises ContentError for a folder that is not a pack."""
    ref, findings = reference(path)
    whole = Declarations(pack=Pack(ref=ref, path=path), findings=findings)
    _read_triggers(whole)
    _read_sensors(whole)
    _read_rules(whole)
    return whole


def reference(path: Path) -> tuple[str, list[Finding]]:
    """Return a pack's reference, or its folder's name and the errors if pack.yaml is wrong. Raises ContentError."""
    if not (path / "pack.yaml").is_file():
        problem = "this folder is not a pack: it has no pack.yaml; name the folders of packs, as in packs/*"
        raise ContentError(problem, file=str(path))
    try:
        return metadata.pack_ref(path / "pack.yaml"), []
    except ContentError as error:
        problems = _all(path / "pack.yaml", "pack.json", error)
    return path.name, [found(path.name, problem, "pack-metadata") for problem in problems]


def _all(path: Path, schema: str, error: ContentError) -> list[ContentError]:
    """Return every error in a metadata file, given one of them."""
    try:
        return metadata.violations(read(path), schema) or [error]
    except ContentError:
        return [error]


def _warn(whole: Declarations, warnings: Iterable[ContentError]) -> None:
    """Report keys without effect."""
    whole.findings += [found(whole.pack.ref, warning, "unknown-key", Severity.WARNING) for warning in warnings]


def _files(whole: Declarations, kind: str) -> Iterable[Path]:
    try:
        return metadata_files(whole.pack, kind)
    except ContentError as error:
        whole.is_whole = False
        _add(whole, "unreadable-folder", error)
        return []


def _read_triggers(whole: Declarations) -> None:
    for path in _files(whole, TRIGGERS):
        _note_names(whole, path, TRIGGERS)
        try:
            declaration = metadata.trigger_type(whole.pack, path)
        except ContentError as error:
            _add(whole, "trigger-metadata", *_all(path, "trigger.json", error))
            continue
        _warn(whole, declaration.warnings)
        if declaration.error is not None:
            _add(whole, "trigger-schema", declaration.error)
            continue
        _add_trigger(whole, Declared(type=declaration.trigger_type, file=str(path), line=1, owner=None))


def _read_sensors(whole: Declarations) -> None:
    first: dict[str, str] = {}
    for path in _files(whole, SENSORS):
        _note_names(whole, path, SENSORS)
        try:
            declaration = metadata.sensor(whole.pack, path)
        except ContentError as error:
            _add(whole, "sensor-metadata", *_all(path, "sensor.json", error))
            continue
        _warn(whole, declaration.warnings)
        _add(whole, "trigger-schema", *(error for _, error in declaration.errors))
        ref = declaration.sensor.ref
        if first.setdefault(ref, str(path)) != str(path):
            problem = f"sensor {ref} is already declared in {first[ref]}; give one of them another class_name"
            _add(whole, "duplicate", declaration.file.error(problem, ["class_name"]))
            continue
        whole.sensors.append(declaration)
        for declared in _of_sensor(declaration, path):
            _add_trigger(whole, declared)


def _of_sensor(declaration: SensorDeclaration, path: Path) -> Iterator[Declared]:
    types = {item.ref: item for item in declaration.trigger_types}
    for index, ref in enumerate(declaration.sensor.trigger_types):
        if ref in types:
            line = declaration.file.line(["trigger_types", index])
            yield Declared(type=types[ref], file=str(path), line=line, owner=path)


def _add_trigger(whole: Declarations, declared: Declared) -> None:
    """Keep a trigger type, or report that it was declared before with other schemas."""
    for other in whole.triggers:
        if other.type.ref == declared.type.ref and _schemas(other.type) != _schemas(declared.type):
            problem = (
                f"trigger type {declared.type.ref} has another schema in {other.file}; make both equal or remove one"
            )
            _add(whole, "duplicate", ContentError(problem, file=declared.file, line=declared.line))
            return
    whole.triggers.append(declared)


def _schemas(trigger_type: TriggerType) -> tuple[Any, Any]:
    return trigger_type.payload_schema, trigger_type.parameters_schema


def _read_rules(whole: Declarations) -> None:
    first: dict[str, str] = {}
    for path in _files(whole, RULES):
        try:
            rule = metadata.rule(whole.pack, path)
        except ContentError as error:
            _add(whole, "rule-metadata", *_all(path, "rule.json", error))
            continue
        if first.setdefault(rule.name, str(path)) != str(path):
            problem = f"rule {whole.pack.ref}.{rule.name} is already declared in {first[rule.name]}; rename one of them"
            _add(whole, "duplicate", rule.file.error(problem, ["name"]))
            continue
        whole.rules.append(rule)


def _note_names(whole: Declarations, path: Path, kind: str) -> None:
    """Record the names of the trigger types in a file that may be broken."""
    names = metadata.type_names(path, kind)
    if names is None:
        whole.is_whole = False
        return
    whole.named |= {f"{whole.pack.ref}.{name}" for name in names}


def _add(whole: Declarations, rule: str, *errors: ContentError) -> None:
    whole.findings += [found(whole.pack.ref, error, rule) for error in errors]
