"""Reads operators' overrides: `<base_path>/overrides/_global.yaml` and `<pack>.yaml`.

StackStorm also reads the sections `sensors` and `rules`, and refuses every key in them but `enabled`. Our own keys are
in the section `st2sensor`, which StackStorm ignores, so one file serves both. A pack's file takes precedence over the
global one, and `exceptions`, by name, take precedence over `defaults`. As in StackStorm, overrides take effect at the
next registration.

`default: {sensors: ...}` and `exceptions: {sensors: ...}` are an older form. It is still read, but all other
sections take precedence.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from st2sensor.errors import ContentError
from st2sensor.models import Expectation, Overrides, SensorType
from st2sensor.models.limits import TYPES, flaw_in
from st2sensor.packs.metadata import validated, violations
from st2sensor.packs.yaml_files import File, read
from st2sensor.system.regular_file import is_there

GLOBAL = "_global"

SENSORS, RULES, OWN = "sensors", "rules", "st2sensor"
"""Sections."""

DEFAULTS, EXCEPTIONS = "defaults", "exceptions"
"""Parts of a section."""

OLDER = ("default", "exceptions")
"""Top-level keys of the older form."""

STACKSTORMS = frozenset({SENSORS, RULES, "actions", "aliases"})
"""Sections that StackStorm knows."""

ENABLED = frozenset({"enabled"})

LIMITS = frozenset({"poll_interval", *(field.name for field in fields(Overrides))})
"""Keys in `st2sensor`."""

KEYS = {SENSORS: ENABLED, RULES: ENABLED, OWN: LIMITS}

EXPECTED = frozenset(field.name for field in fields(Expectation))
"""Keys in `expect`."""

PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
"""Units of durations in `expect`, in seconds."""

UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """The values of one section.

    :param defaults: values for all.
    :param exceptions: values for some, by name.
    """

    defaults: Values
    exceptions: Mapping[str, Values]

    def of(self, name: str) -> dict[str, Any]:
        """Return the values for one name."""
        return {**self.defaults, **self.exceptions.get(name, {})}

    def over(self, below: Layer) -> Layer:
        """Merge two layers, and return the result. This one takes precedence."""
        names = {**below.exceptions, **self.exceptions}
        return Layer(
            defaults={**below.defaults, **self.defaults},
            exceptions={name: {**below.exceptions.get(name, {}), **self.exceptions.get(name, {})} for name in names},
        )


NOTHING = Layer(defaults={}, exceptions={})


@dataclass(frozen=True, slots=True, kw_only=True)
class PackOverrides:
    """The overrides for one pack.

    :param file: the pack's own file; None when there is none.
    :param warnings: keys without effect, and older forms.
    """

    sensors: Layer
    rules: Layer
    file: File | None
    warnings: tuple[ContentError, ...]

    def apply(self, sensor: SensorType, over: Values | None = None) -> tuple[SensorType, Overrides]:
        """Return the sensor with its overrides, and the overrides that are stored separately.

        :param over: values that take precedence, such as an instance's.
        """
        values = {**self.sensors.of(sensor.name), **(over or {})}
        if isinstance(values.get("memory"), str):
            values["memory"] = _bytes(values["memory"])
        if "runs_on" in values:
            values["runs_on"] = tuple(values["runs_on"])
        if "expect" in values:
            expected = _mapping(values["expect"])
            values["expect"] = Expectation(**{name: _seconds(expected[name]) for name in EXPECTED & expected.keys()})
        metadata = {name: values.pop(name) for name in ("enabled", "poll_interval") if name in values}
        return replace(sensor, **metadata), Overrides(**values)

    def strangers(self, sensors: Collection[str]) -> Iterator[ContentError]:
        """Yield a warning for each override of a sensor that the pack does not have.

        :param sensors: class names of all its sensors.
        """
        if self.file is None:
            return
        for path in ([SENSORS, EXCEPTIONS], [OWN, EXCEPTIONS], [OLDER[1], SENSORS]):
            for name in _mapping(_mapping(_mapping(self.file.data).get(path[0])).get(path[1])):
                if name not in sensors:
                    place = [*path, name]
                    problem = f"{'.'.join(place)} has no effect: the pack has no such sensor"
                    yield self.file.error(f"{problem}; {_remedy(name, sorted(sensors))}", place)

    def strange_types(self, sensor: SensorType, limits: Mapping[str, Any] | None) -> Iterator[ContentError]:
        """Yield a warning for each trigger type in a sensor's limits that the sensor does not declare."""
        for ref in _mapping(_mapping(limits).get(TYPES)):
            if self.file is not None and ref not in sensor.trigger_types:
                problem = f"limits.{TYPES}.{ref} has no effect: {sensor.ref} does not declare this trigger type"
                yield self.file.error(f"{problem}; {_remedy(ref, sorted(sensor.trigger_types))}")

    def disables(self, rule: str) -> bool:
        """Return whether a rule of the pack, given by its name, is disabled."""
        return self.rules.of(rule).get("enabled") is False


def load(folder: Path, pack: str) -> PackOverrides:
    """Load the overrides for a pack. Raises ContentError."""
    sensors, rules, own, warnings = NOTHING, NOTHING, None, list[ContentError]()
    for name in (GLOBAL, pack):
        path = folder / f"{name}.yaml"
        if not is_there(path):
            continue
        file = validated(path, "overrides.json")
        _check_limits(file)
        for section in (_older(file), _section(file, SENSORS), _section(file, OWN)):
            sensors = _in(name, section).over(sensors)
        rules = _in(name, _section(file, RULES)).over(rules)
        warnings += _warnings(file, name)
        own = file if name == pack else None
    return PackOverrides(sensors=sensors, rules=rules, file=own, warnings=tuple(warnings))


def every_problem(folder: Path, pack: str) -> list[ContentError]:
    """Return all mistakes in the overrides for a pack. Raises ContentError for an unreadable file."""
    found: list[ContentError] = []
    for path in (folder / f"{name}.yaml" for name in (GLOBAL, pack)):
        if is_there(path):
            file = read(path)
            found += violations(file, "overrides.json") or _limit_problems(file)
    return found


def _check_limits(file: File) -> None:
    for problem in _limit_problems(file):
        raise problem


def _limit_problems(file: File) -> list[ContentError]:
    """Return the mistakes in the limits of a file that the schema does not find."""
    data = _mapping(file.data)
    own, older = _mapping(data.get(OWN)), (_mapping(_mapping(data.get(part)).get(SENSORS)) for part in OLDER)
    places = [([OWN, DEFAULTS], own.get(DEFAULTS))]
    places += [([OWN, EXCEPTIONS, name], values) for name, values in _mapping(own.get(EXCEPTIONS)).items()]
    defaults, exceptions = older
    places += [([OLDER[0], SENSORS], defaults)]
    places += [([OLDER[1], SENSORS, name], values) for name, values in exceptions.items()]
    found = ((place, flaw_in(_mapping(_mapping(values).get("limits")))) for place, values in places)
    return [file.error(f"{'.'.join([*place, 'limits'])}: {flaw}", [*place, "limits"]) for place, flaw in found if flaw]


def _in(name: str, layer: Layer) -> Layer:
    """Return the part of a layer that has an effect in the file of this name."""
    return replace(layer, exceptions={}) if name == GLOBAL else layer


def _section(file: File, name: str) -> Layer:
    section = _mapping(_mapping(file.data).get(name))
    return Layer(
        defaults=_known(section.get(DEFAULTS), KEYS[name]),
        exceptions={key: _known(values, KEYS[name]) for key, values in _mapping(section.get(EXCEPTIONS)).items()},
    )


def _older(file: File) -> Layer:
    defaults, exceptions = (_mapping(_mapping(_mapping(file.data).get(part)).get(SENSORS)) for part in OLDER)
    keys = ENABLED | LIMITS
    return Layer(
        defaults=_known(defaults, keys), exceptions={name: _known(values, keys) for name, values in exceptions.items()}
    )


def _mapping(value: Any) -> Values:
    """Return a validated value, which is a mapping or null, as a mapping."""
    return value or {}


def _known(values: Any, keys: Iterable[str]) -> Values:
    return {name: value for name, value in _mapping(values).items() if name in keys}


def _warnings(file: File, name: str) -> Iterator[ContentError]:
    """Yield warnings about a file. :param name: the file's name, without suffix."""
    data = _mapping(file.data)
    for key in data:
        if key in OLDER:
            yield file.error(
                f"{key}: this form is older than StackStorm's, and StackStorm ignores it; write enabled into "
                f"{SENSORS}: {{{DEFAULTS}: ..., {EXCEPTIONS}: ...}} and all else into {OWN}: in the same form",
                [key],
            )
            yield from _of_older(file, key, name)
        elif key not in STACKSTORMS | {OWN}:
            yield _unknown(file, [key], [*sorted(STACKSTORMS), OWN])
    for section in KEYS:
        for part, values in _mapping(data.get(section)).items():
            if part == DEFAULTS:
                yield from _of_values(file, [section, part], values, KEYS[section])
            elif part != EXCEPTIONS:
                yield _unknown(file, [section, part], [DEFAULTS, EXCEPTIONS])
            elif name == GLOBAL:
                yield _not_global(file, [section, part])
            else:
                for key, exception in _mapping(values).items():
                    yield from _of_values(file, [section, part, key], exception, KEYS[section])


def _of_older(file: File, part: str, name: str) -> Iterator[ContentError]:
    for key, values in _mapping(_mapping(file.data)[part]).items():
        if key != SENSORS:
            yield _unknown(file, [part, key], [SENSORS])
        elif part == "default":
            yield from _of_values(file, [part, key], values, ENABLED | LIMITS)
        elif name == GLOBAL:
            yield _not_global(file, [part, key])
        else:
            for class_name, exception in _mapping(values).items():
                yield from _of_values(file, [part, key, class_name], exception, ENABLED | LIMITS)


def _of_values(file: File, place: list[str], values: Any, known: frozenset[str]) -> Iterator[ContentError]:
    for key, value in _mapping(values).items():
        if key in known:
            if key == "expect":
                for name in _mapping(value).keys() - EXPECTED:
                    yield _unknown(file, [*place, key, name], sorted(EXPECTED))
            continue
        if place[0] == SENSORS and key in LIMITS:
            problem = f"has no effect here, and StackStorm refuses it; move it to {OWN}:, a section next to {SENSORS}:"
            yield file.error(f"{'.'.join([*place, key])} {problem}", [*place, key])
        elif place[0] == OWN and key in ENABLED:
            problem = f"has no effect here; move it to {SENSORS}:, which StackStorm also reads"
            yield file.error(f"{'.'.join([*place, key])} {problem}", [*place, key])
        else:
            yield _unknown(file, [*place, key], sorted(known))


def _not_global(file: File, place: list[str]) -> ContentError:
    return file.error(f"{'.'.join(place)} has no effect in {GLOBAL}.yaml; move it to the file of its pack", place)


def _unknown(file: File, place: list[str], known: list[str]) -> ContentError:
    return file.error(f"{'.'.join(place)} is not known and has no effect; {_remedy(place[-1], known)}", place)


def _remedy(word: str, known: list[str]) -> str:
    meant = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {meant[0]}?" if meant else f"use one of {', '.join(known)}"


def _seconds(duration: float | str) -> float:
    return PERIODS[duration[-1]] * int(duration[:-1]) if isinstance(duration, str) else float(duration)


def _bytes(size: str) -> int:
    unit = UNITS.get(size[-1])
    return int(size) if unit is None else int(size[:-1]) * unit
