"""Reads the instances of a pack's sensors: `<base_path>/instances/<pack>.yaml`.

The file maps each class to its instances, and each instance to its settings: the keys of overrides, `enabled`,
`config` and `triggers`. `default` is the class itself, under its own reference.
"""

from __future__ import annotations

import difflib
import fnmatch
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from st2sensor.errors import ContentError
from st2sensor.models import CORE_PACK, DEFAULT, SensorType, TriggerType
from st2sensor.packs import metadata
from st2sensor.packs.overrides import ENABLED, LIMITS, Values
from st2sensor.packs.yaml_files import File, read
from st2sensor.portable.keyspace import INSTANCE
from st2sensor.system.regular_file import is_there

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
"""The form of an instance's name."""

CONFIG, TRIGGERS = "config", "triggers"

OWN = ENABLED | {CONFIG, TRIGGERS}
"""Keys of an instance that overrides do not have."""

SCHEMA = "instances.json"

MOST_FILES = 32
"""Files that a container keeps in memory, so that the start of many sensors does not parse a file each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A mistake in the file. Without a class it concerns the whole file, and without a name the whole class."""

    error: ContentError
    of_class: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackInstances:
    """The instances in a pack's file.

    :param file: None if there is no file, or none that can be parsed.
    :param classes: the settings of each instance, by class and name, including those with mistakes.
    """

    file: File | None = None
    classes: Mapping[str, Mapping[str, Values]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def is_broken(self) -> bool:
        """Whether the instances are unknown, because the file cannot be read."""
        return any(problem.of_class is None for problem in self.problems)

    def errors(self, of_class: str, name: str) -> list[ContentError]:
        """Return the mistakes in one instance."""
        return [item.error for item in self.problems if item.of_class == of_class and item.name in (None, name)]

    def error(self, pack: str, of_class: str, name: str, message: str, place: Iterable[str | int] = ()) -> ContentError:
        """Return an error at a place in one instance."""
        assert self.file is not None
        path = [f"{pack}.{of_class}", name, *place]
        return self.file.error(f"{'.'.join(map(str, path))}: {message}", path)


NOTHING = PackInstances()


def file_of(folder: Path | None, pack: str) -> Path | None:
    """Return the place of a pack's file, whether or not it exists; None if no folder is configured."""
    return None if folder is None else folder / f"{pack}.yaml"


def load(folder: Path | None, pack: str) -> PackInstances:
    """Read the instances of a pack. Mistakes are in the result."""
    path = file_of(folder, pack)
    if path is None or not is_there(path):
        return NOTHING
    try:
        file = read(path)
    except ContentError as error:
        return PackInstances(problems=(Problem(error=error),))
    if pack == CORE_PACK:
        problem = f"the bundled pack {CORE_PACK} has no instances: its sensors share one address; remove the file"
        return PackInstances(problems=(Problem(error=file.error(problem)),))
    problems = list(_violations(file, pack))
    if any(problem.of_class is None for problem in problems):
        return PackInstances(file=file, problems=tuple(problems))
    classes = {}
    for ref, listed in (file.data or {}).items():
        of_class = _class_in(ref, pack)
        if of_class is None:
            problems.append(Problem(error=_foreign(file, ref, pack), of_class=ref))
            continue
        classes[of_class] = {
            name: values if isinstance(values, dict) else {}
            for name, values in (listed if isinstance(listed, dict) else {}).items()
        }
        if listed == {}:
            problem = f"{ref} lists no instance; remove it, or add one, as in {DEFAULT}: {{}}"
            problems.append(Problem(error=file.error(problem, [ref]), of_class=of_class))
        problems += _of_names(file, ref, of_class, classes[of_class])
    return PackInstances(file=file, classes=classes, problems=tuple(problems))


def _class_in(ref: str, pack: str) -> str | None:
    start, dot, of_class = ref.partition(".")
    return of_class if dot and start == pack and of_class else None


def _foreign(file: File, ref: str, pack: str) -> ContentError:
    start, dot, _ = ref.partition(".")
    if dot and start != pack:
        return file.error(f"{ref}: this file is for pack {pack}; move it to {start}.yaml in the same folder", [ref])
    return file.error(f"{ref}: write the class with its pack, as in {pack}.{ref or 'Class'}", [ref])


def _violations(file: File, pack: str) -> Iterator[Problem]:
    # Several parts of the schema may refuse one value.
    for place, error in {tuple(place): error for place, error in metadata.placed_violations(file, SCHEMA)}.items():
        ref, name, *_ = (*map(str, place), None, None)
        yield Problem(error=error, of_class=ref and (_class_in(ref, pack) or ref), name=name)


def _of_names(file: File, ref: str, of_class: str, listed: Mapping[str, Values]) -> Iterator[Problem]:
    for name, values in listed.items():
        place = [ref, name]
        if not NAME.fullmatch(name):
            problem = f"{ref}: {name!r} cannot be a name; use 1 to 64 letters, digits, _ and -"
            yield Problem(error=file.error(problem, place), of_class=of_class, name=name)
        if name == DEFAULT and "enabled" in values:
            problem = f"{ref}.{DEFAULT}.enabled: {DEFAULT} is the class itself; set enabled in the pack's overrides"
            yield Problem(error=file.error(problem, [*place, "enabled"]), of_class=of_class, name=name)
        for key in values:
            if key not in LIMITS | OWN:
                problem = f"{ref}.{name}.{key} is not known; {_remedy(key, LIMITS | OWN)}"
                yield Problem(error=file.error(problem, [*place, key]), of_class=of_class, name=name)


def _remedy(word: str, known: Collection[str]) -> str:
    meant = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {meant[0]}?" if meant else f"use one of {', '.join(sorted(known))}"


def strangers(found: PackInstances, pack: str, known: Collection[str]) -> Iterator[ContentError]:
    """Yield an error for each class that the pack does not have. :param known: class names of all its sensors."""
    for of_class in found.classes:
        if of_class not in known and found.file is not None:
            problem = f"{pack}.{of_class}: the pack has no such sensor; {_remedy(of_class, known)}"
            yield found.file.error(problem, [f"{pack}.{of_class}"])


def misplaced_triggers(
    found: PackInstances, sensor: SensorType, name: str, types: Mapping[str, TriggerType]
) -> Iterator[ContentError]:
    """Yield an error for each trigger type in an instance's filter that its class does not emit, and for each
    parameter that the type does not have.

    :param types: the trigger types that are known, by reference.
    """
    for ref, conditions in (found.classes[sensor.name][name].get(TRIGGERS) or {}).items():
        place = (TRIGGERS, ref)
        if ref not in sensor.trigger_types:
            problem = f"{sensor.ref} has no trigger type {ref}; {_remedy(ref, sensor.trigger_types or ('none',))}"
            yield found.error(sensor.pack, sensor.name, name, problem, place)
            continue
        schema = types[ref].parameters_schema if ref in types else None
        properties = (schema or {}).get("properties")
        for parameter in conditions or {}:
            if isinstance(properties, Mapping) and parameter not in properties:
                problem = f"trigger type {ref} has no parameter {parameter}; {_remedy(parameter, list(properties))}"
                yield found.error(sensor.pack, sensor.name, name, problem, (*place, parameter))


def accepts(triggers: Mapping[str, Any] | None, trigger_type: str, parameters: Mapping[str, Any]) -> bool:
    """Return whether an instance's filter accepts a trigger. Without a filter, every trigger is accepted.

    :param triggers: conditions on parameters, by trigger type; a trigger whose type is not named is not accepted.
    """
    if triggers is None:
        return True
    conditions = triggers.get(trigger_type)
    if trigger_type not in triggers:
        return False
    return all(_meets(parameters.get(name), wanted) for name, wanted in (conditions or {}).items())


def _meets(value: Any, wanted: Any) -> bool:
    """Return whether a parameter meets a condition: a pattern with * and ?, another value, or a list of these."""
    if isinstance(wanted, list):
        return any(_meets(value, item) for item in wanted)
    if isinstance(wanted, str) and isinstance(value, str):
        return fnmatch.fnmatchcase(value, wanted)
    return type(value) is type(wanted) and bool(value == wanted)


def config_in(folder: Path | None, sensor: SensorType) -> tuple[Path, tuple[str, str], Mapping[str, Any]] | None:
    """Return the configuration of the instance that a sensor is: its file, its place there, and its values.

    None for a class that is not listed. Raises ContentError if the file no longer lists the instance.
    """
    path = file_of(folder, sensor.pack)
    of_class, at, name = sensor.name.partition(INSTANCE)
    if path is None or not is_there(path):
        listed: Mapping[str, Any] = {}
    else:
        try:
            status = os.stat(path)
        except OSError as error:
            raise ContentError(f"cannot be read: {error.strerror}; correct it", file=str(path)) from error
        listed = json.loads(_texts(path, status.st_mtime_ns, status.st_size, status.st_ino).get(sensor.ref, "{}"))
        if sensor.ref in _texts(path, status.st_mtime_ns, status.st_size, status.st_ino):
            return path, (f"{sensor.pack}.{of_class}", name or DEFAULT), listed
    if at:
        raise ContentError(f"{sensor.ref} is no longer listed here; run st2ctl reload", file=str(path))
    return None


@lru_cache(maxsize=MOST_FILES)
def _texts(path: Path, _modified: int, _size: int, _inode: int) -> Mapping[str, str]:
    """Return the configurations in a file as JSON, by sensor. Raises ContentError."""
    found = {}
    file = read(path)
    if not isinstance(file.data or {}, dict):
        raise file.error("must be a mapping of PACK.CLASS to instances; correct it")
    for ref, listed in (file.data or {}).items():
        for name, values in (listed or {}).items() if isinstance(listed, dict) else ():
            config = values.get(CONFIG) if isinstance(values, dict) else None
            found[ref if name == DEFAULT else f"{ref}{INSTANCE}{name}"] = json.dumps(config or {})
    return found
