"""Turns the metadata files of a pack into models, checked against the JSON schemas in schemas/."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, wraps
from importlib import resources
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import jsonschema
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from st2sensor.errors import ContentError
from st2sensor.models import Overrides, Pack, SensorType, TriggerType
from st2sensor.packs import storable
from st2sensor.packs.registrable import TRIGGERS
from st2sensor.packs.yaml_files import File, read
from st2sensor.schemas import dialect

T = TypeVar("T")

Inputs = ParamSpec("Inputs")

REF = re.compile(r"[a-z0-9_]+")
"""The form of a pack's reference."""

STORED = ("sensor.json", "trigger.json", "rule.json")
"""The schemas of files whose whole content is stored."""

SHARED = ("trigger.json", "overrides.json")
"""The schemas that others refer to."""

OWNERS = {"sensor.json": "a sensor", "trigger.json": "a trigger type"}
"""By schema, how messages name a mapping that it describes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorDeclaration:
    """One sensor metadata file.

    :param code: the sensor's Python file.
    :param trigger_types: the valid trigger types in it.
    :param errors: the errors of the other trigger types, by reference.
    :param warnings: keys that have no effect.
    :param overrides: an operator's overrides that are not part of `sensor`.
    """

    file: File
    sensor: SensorType
    code: Path
    trigger_types: tuple[TriggerType, ...]
    errors: tuple[tuple[str, ContentError], ...]
    warnings: tuple[ContentError, ...]
    overrides: Overrides


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerDeclaration:
    """One file in triggers/.

    :param error: the error in its schemas, if any.
    :param warnings: keys that have no effect.
    """

    trigger_type: TriggerType
    error: ContentError | None
    warnings: tuple[ContentError, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleDeclaration:
    """The parts of a rule file that sensors need."""

    file: File
    pack: str
    name: str
    metadata_file: str
    trigger_type: str
    parameters: Mapping[str, Any]


def _alone(read: Callable[Inputs, T]) -> Callable[Inputs, T]:
    """Blame the file, which is the last argument, for every error that it causes, so that all others are read."""

    @wraps(read)
    def reading(*args: Inputs.args, **kwargs: Inputs.kwargs) -> T:
        try:
            return read(*args, **kwargs)
        except ContentError:
            raise
        except Exception as error:
            raise ContentError(f"cannot be used: {error}; correct it", file=str(args[-1])) from error

    return reading


@_alone
def sensor(pack: Pack, path: Path) -> SensorDeclaration:
    """Read a sensor's metadata. Raises ContentError."""
    file = validated(path, "sensor.json")
    data = file.data
    code = Path(os.path.normpath(path.parent / data["entry_point"]))
    if not code.is_file():
        raise file.error(f"entry_point: there is no file {code}; correct entry_point or add it", ["entry_point"])
    declared = [trigger_type_of(pack, path, file, item) for item in data.get("trigger_types") or ()]
    errors = [
        (item.ref, error)
        for index, item in enumerate(declared)
        if (error := schema_error(file, item, ["trigger_types", index])) is not None
    ]
    broken = {ref for ref, _ in errors}
    module = (
        ".".join(code.relative_to(pack.path).with_suffix("").parts) if code.is_relative_to(pack.path) else code.stem
    )
    return SensorDeclaration(
        file=file,
        code=code,
        sensor=SensorType(
            pack=pack.ref,
            name=data["class_name"],
            description=data.get("description"),
            metadata_file=str(path.relative_to(pack.path)),
            artifact_uri=f"file://{code}",
            entry_point=f"{module}.{data['class_name']}",
            trigger_types=tuple(item.ref for item in declared),
            poll_interval=data.get("poll_interval"),
            enabled=data.get("enabled") is not False,
        ),
        trigger_types=tuple(item for item in declared if item.ref not in broken),
        errors=tuple(errors),
        warnings=(
            *_unknown_keys(file, file.data, "sensor.json", []),
            *(
                warning
                for index, item in enumerate(data.get("trigger_types") or ())
                for warning in _unknown_keys(file, item, "trigger.json", ["trigger_types", index])
            ),
        ),
        overrides=Overrides(),
    )


@_alone
def trigger_type(pack: Pack, path: Path) -> TriggerDeclaration:
    """Read a file in triggers/. Raises ContentError."""
    file = validated(path, "trigger.json")
    _check_pack(pack, file)
    declared = trigger_type_of(pack, path, file, file.data)
    return TriggerDeclaration(
        trigger_type=declared,
        error=schema_error(file, declared, []),
        warnings=tuple(_unknown_keys(file, file.data, "trigger.json", [])),
    )


@_alone
def rule(pack: Pack, path: Path) -> RuleDeclaration:
    """Read a rule. Raises ContentError."""
    file = validated(path, "rule.json")
    _check_pack(pack, file)
    trigger = file.data["trigger"]
    return RuleDeclaration(
        file=file,
        pack=pack.ref,
        name=file.data["name"],
        metadata_file=str(path.relative_to(pack.path)),
        trigger_type=trigger["type"],
        parameters=trigger.get("parameters") or {},
    )


@_alone
def pack_ref(path: Path) -> str:
    """Return a pack's reference. Raises ContentError.

    As in StackStorm, it is `ref` in pack.yaml, else the folder's name if that is valid, else made from `name`.
    """
    file = validated(path, "pack.json")
    if file.data.get("ref"):
        return str(file.data["ref"])
    folder = os.path.basename(os.path.dirname(os.path.abspath(path)))
    if REF.fullmatch(folder):
        return folder
    ref = str(file.data["name"]).lower().replace(" ", "_").replace("-", "_")
    if not REF.fullmatch(ref):
        raise file.error(
            f"neither the folder {folder!r} nor the name {file.data['name']!r} makes a reference; add ref: with "
            "lower-case letters, digits and _",
            ["name"],
        )
    return ref


def type_names(path: Path, kind: str) -> list[str] | None:
    """Return the names of the trigger types in a file that may be broken; None if they cannot be read."""
    try:
        data = read(path).data
        items = [] if not isinstance(data, dict) else [data] if kind == TRIGGERS else data.get("trigger_types") or []
        return [str(item["name"]) for item in items]
    except (ContentError, TypeError, KeyError):
        return None


def trigger_type_of(pack: Pack, path: Path, file: File, data: Mapping[str, Any]) -> TriggerType:
    """Return the trigger type in a mapping of a validated file."""
    tags = data.get("tags")
    return TriggerType(
        pack=pack.ref,
        name=data["name"],
        description=data.get("description"),
        payload_schema=data.get("payload_schema"),
        parameters_schema=data.get("parameters_schema"),
        metadata_file=str(path.relative_to(pack.path)) if path.is_relative_to(pack.path) else file.shown,
        tags=None if tags is None else tuple(tags),
    )


def schema_error(file: File, declared: TriggerType, place: list[str | int]) -> ContentError | None:
    """Return the error in the schemas of a trigger type, or None."""
    for key, value in (
        ("payload_schema", declared.payload_schema),
        ("parameters_schema", declared.parameters_schema),
    ):
        problem = None if value is None else dialect.check(value)
        if problem:
            return file.error(f"{key} of trigger {declared.ref} is not a valid JSON schema: {problem}", [*place, key])
    return None


def validated(path: Path, schema_name: str) -> File:
    """Read a file and check it against one of schemas/. Raises ContentError with place and remedy."""
    file = read(path)
    error = jsonschema.exceptions.best_match(_validator(schema_name).iter_errors(file.data))
    if error is not None:
        raise _explained(file, error)
    if schema_name in STORED:
        storable.check(file)
    return file


def violations(file: File, schema_name: str) -> list[ContentError]:
    """Return every violation of one of schemas/ in a file."""
    explained = [error for _, error in placed_violations(file, schema_name)]
    return [*explained, *storable.problems(file)] if schema_name in STORED else explained


def placed_violations(file: File, schema_name: str) -> Iterable[tuple[list[str | int], ContentError]]:
    """Yield every violation of one of schemas/ in a file, with its place."""
    for error in _validator(schema_name).iter_errors(file.data):
        yield list(error.absolute_path), _explained(file, error)


def _explained(file: File, error: Any) -> ContentError:
    """Return an error with place and remedy."""
    if error.validator == "required":
        missing = error.message.split("'")[1]
        remedy = error.schema["properties"][missing]["description"]
        return file.error(f"{missing} is missing; add it: {remedy}", list(error.absolute_path))
    if not error.absolute_path:
        return file.error(f"must be {error.schema.get('description', 'a mapping of keys to values')}")
    key = ".".join(str(part) for part in error.absolute_path)
    remedy = error.schema.get("description", "correct it")
    return file.error(f"{key}: {error.message}; it must be {remedy}", list(error.absolute_path))


def _check_pack(pack: Pack, file: File) -> None:
    named = file.data.get("pack", pack.ref)
    if named != pack.ref:
        raise file.error(
            f"pack: the file is in pack {pack.ref}, but names {named}; correct or remove the key", ["pack"]
        )


def _unknown_keys(
    file: File, mapping: Mapping[str, Any], schema_name: str, place: list[str | int]
) -> Iterable[ContentError]:
    """Yield a warning about each key of a mapping that its schema does not have. :param place: of the mapping."""
    known, owner = _schema(schema_name)["properties"], OWNERS[schema_name]
    for key in mapping:
        if key not in known:
            yield file.error(f"{key} is not a key of {owner} and has no effect", [*place, key])


@cache
def _schema(name: str) -> dict[str, Any]:
    return json.loads(resources.files("st2sensor.packs").joinpath("schemas", name).read_text())  # type: ignore[no-any-return]


@cache
def _validator(name: str) -> jsonschema.protocols.Validator:
    registry: Registry[Any] = Registry().with_resources(
        (shared, Resource.from_contents(_schema(shared), default_specification=DRAFT4)) for shared in SHARED
    )
    return jsonschema.Draft4Validator(_schema(name), registry=registry)
