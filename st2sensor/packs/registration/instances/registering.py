"""Registers the instances of sensors, and unregisters instances that are gone. A change to one instance does not affect
the others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from st2sensor.errors import ContentError
from st2sensor.models import Instance, Overrides, Pack, SensorType, TriggerType
from st2sensor.packs import instances
from st2sensor.packs.bundled import BUNDLED
from st2sensor.packs.code.location import of_start
from st2sensor.packs.configuration import pack_config
from st2sensor.packs.configuration import source as pack_source
from st2sensor.packs.configuration.source import Layer, Source
from st2sensor.packs.instances import CONFIG, TRIGGERS, PackInstances
from st2sensor.packs.overrides import LIMITS, Values
from st2sensor.packs.registration.context import Context
from st2sensor.packs.registration.outcome import Outcome, Result, blaming, failed, result_of
from st2sensor.portable.keyspace import INSTANCE
from st2sensor.transport.topology import UPDATE

KIND = "instance"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """An instance that is listed.

    :param file: where it is listed; :param is_new: whether it differs from what is registered.
    """

    wanted: Instance
    file: str
    is_new: bool
    outcome: Outcome


@dataclass(slots=True)
class Instances:
    """Registers the instances of one registration."""

    _context: Context
    _types: dict[str, TriggerType] = field(default_factory=dict)
    _sources: dict[str, Source | ContentError] = field(default_factory=dict)
    """The configuration of each pack."""
    _judged: list[_Judged] = field(default_factory=list)
    _announced: set[str] = field(default_factory=set)
    """Classes. One announcement for each is enough, whatever the number of its instances that have changed."""

    def register(
        self, declared: Mapping[str, tuple[Pack, SensorType]], *, failing: Collection[str], incomplete: Collection[str]
    ) -> Iterator[Outcome]:
        """Register the instances of all packs of this registration, and unregister those that are gone.

        :param declared: the declared sensors, by reference, as they are without overrides.
        :param failing: sensors whose content was refused; their instances are kept unchanged.
        :param incomplete: packs with files that cannot be parsed, so that not all of their sensors are known.
        """
        self._types = {item.ref: item for item in self._context.storage.all(TriggerType)}
        kept: set[str] = set()
        for pack in self._context.packs:
            found = self._context.instances_of(pack.ref)
            for problem in found.problems:
                if problem.name is None:
                    yield failed(KIND, problem.of_class or pack.ref, problem.error)
            if found.is_broken:
                kept |= {ref for ref, item in self._context.known_instances().items() if item.pack == pack.ref}
                continue
            own = {item.name: item for of_pack, item in declared.values() if of_pack.ref == pack.ref}
            if pack is not BUNDLED and pack.ref in self._context.present() and pack.ref not in incomplete:
                for error in instances.strangers(found, pack.ref, own):
                    yield failed(KIND, pack.ref, error)
            for of_class, listed in found.classes.items():
                for name in listed:
                    ref = f"{pack.ref}.{of_class}{INSTANCE}{name}"
                    kept.add(ref)
                    sensor = own.get(of_class)
                    if sensor is not None and sensor.ref not in failing:
                        self._judge(pack, found, sensor, name)
        yield from self._store()
        yield from self._unregister_gone(kept)

    def _judge(self, pack: Pack, found: PackInstances, sensor: SensorType, name: str) -> None:
        """Find out what is to be stored for an instance."""
        ref = f"{sensor.ref}{INSTANCE}{name}"
        known = self._context.known_instances().get(ref)
        wanted, error = self._wanted(pack, found, sensor, name)
        if error is not None:
            unchanged = known or Instance(pack=sensor.pack, name=f"{sensor.name}{INSTANCE}{name}")
            wanted = replace(unchanged, error=str(error))
        assert wanted is not None
        if known is not None and known.enabled != wanted.enabled and known.enabled != known.declared:
            if error is None:
                state = "enabled" if known.enabled else "disabled"
                self._context.warnings.append(f"instance {ref} stays {state}, as an operator has set it")
            wanted = replace(wanted, enabled=known.enabled)
        result = result_of(known, wanted)
        outcome = failed(KIND, ref, error) if error is not None else Outcome(kind=KIND, ref=ref, result=result)
        shown = "" if found.file is None else found.file.shown
        self._judged.append(_Judged(wanted=wanted, file=shown, is_new=result is not Result.UNCHANGED, outcome=outcome))

    def _store(self) -> Iterator[Outcome]:
        """Store what is new: all at once, or one by one if the database refuses any."""
        new = [judged.wanted for judged in self._judged if judged.is_new]
        is_stored = True
        try:
            with blaming(""):
                self._context.storage.put_all(new)
        except ContentError:
            is_stored = False
        for judged in self._judged:
            try:
                with blaming(judged.file):
                    if judged.is_new and not is_stored:
                        self._context.storage.put(judged.wanted)
            except ContentError as refused:
                yield failed(KIND, judged.wanted.ref, refused)
                continue
            if judged.is_new:
                self._announce(judged.wanted.of_class)
            yield judged.outcome

    def _wanted(
        self, pack: Pack, found: PackInstances, sensor: SensorType, name: str
    ) -> tuple[Instance | None, ContentError | None]:
        """Return the instance to store, or why it is refused."""
        values = found.classes[sensor.name][name]
        errors = found.errors(sensor.name, name)
        if not errors:
            errors = list(instances.misplaced_triggers(found, sensor, name, self._types))
        if errors:
            return None, errors[0]
        settings = {key: value for key, value in values.items() if key in LIMITS}
        try:
            changed, overrides = self._context.overrides_of(pack.ref).apply(sensor, settings)
            config = self._config(pack, found, sensor, name, values)
        except ContentError as error:
            return None, error
        triggers = values.get(TRIGGERS)
        return Instance(
            pack=sensor.pack,
            name=f"{sensor.name}{INSTANCE}{name}",
            digest=_digest(overrides, changed.poll_interval, triggers, config),
            overrides=overrides,
            poll_interval=changed.poll_interval,
            enabled=values.get("enabled"),
            declared=values.get("enabled"),
            triggers=triggers,
        ), None

    def _config(
        self, pack: Pack, found: PackInstances, sensor: SensorType, name: str, values: Values
    ) -> tuple[dict[str, Any], str]:
        """Check the configuration of an instance, and return it with a fingerprint of the datastore values that it
        uses. Raises ContentError.
        """
        source = self._source(pack)
        assert found.file is not None
        layer = Layer(
            path=Path(found.file.shown),
            file=found.file,
            place=(sensor.ref, name, CONFIG),
            values=values.get(CONFIG) or {},
        )
        layered = replace(source, layer=layer)
        rendered = pack_config.render(layered, self._context.templates)
        warnings = (*map(str, pack_config.unknown_keys(layered)), *rendered.warnings)
        self._context.warnings += [text for text in warnings if text not in self._context.warnings]
        return layered.values, pack_config.fingerprint(layered, self._context.templates)

    def _source(self, pack: Pack) -> Source:
        if pack.ref not in self._sources:
            try:
                found = pack_source.load(self._context.content.configs_path, pack.ref, pack.path)
                self._sources[pack.ref] = found
            except ContentError as error:
                self._sources[pack.ref] = error
        source = self._sources[pack.ref]
        if isinstance(source, ContentError):
            raise source
        return source

    def _unregister_gone(self, kept: Collection[str]) -> Iterator[Outcome]:
        """Unregister the instances of this host's packs that no file lists, and those whose class is gone."""
        present = self._context.present()
        classes = {item.ref for item in self._context.storage.all(SensorType)}
        for ref, item in self._context.known_instances().items():
            is_orphan = item.of_class not in classes and item.digest is not None
            if ref in kept or (item.pack not in present and not is_orphan):
                continue
            try:
                with blaming(ref):
                    self._context.storage.remove(Instance, ref)
            except ContentError as error:
                yield failed(KIND, ref, error)
                continue
            self._announce(item.of_class)
            yield Outcome(kind=KIND, ref=ref, result=Result.REMOVED)

    def _announce(self, of_class: str) -> None:
        """Announce that a class has changed. StackStorm knows only the class, and none of its instances."""
        if of_class in self._announced:
            return
        self._announced.add(of_class)
        sensor = self._context.storage.get(SensorType, of_class)
        if sensor is not None:
            self._context.announcements.add(sensor, UPDATE, self._context.storage)


def _digest(
    overrides: Overrides,
    poll_interval: float | None,
    triggers: Mapping[str, Any] | None,
    config: tuple[dict[str, Any], str],
) -> str:
    """Return a digest of all settings of an instance for which it must be restarted."""
    parts = (of_start(overrides), poll_interval, triggers, *config)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
