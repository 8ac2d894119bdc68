"""Brings storage in line with the packs on disk. Unchanged content writes and announces nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from st2sensor.errors import ContentError
from st2sensor.models import Overrides, Pack, Registration, SensorType, Trigger, TriggerType
from st2sensor.packs import metadata, overrides
from st2sensor.packs.bundled import BUNDLED, core_trigger_types, is_bundled
from st2sensor.packs.code import virtualenv
from st2sensor.packs.code.check import check_code
from st2sensor.packs.code.location import code_of, digest
from st2sensor.packs.configuration import pack_config
from st2sensor.packs.configuration.templates import Templates
from st2sensor.packs.discovery import find_packs, metadata_files, pack_at
from st2sensor.packs.metadata import SensorDeclaration
from st2sensor.packs.overrides import PackOverrides
from st2sensor.packs.registrable import RULES, SENSORS, TRIGGERS
from st2sensor.packs.registration import rules, virtualenvs
from st2sensor.packs.registration.announcements import Announcements
from st2sensor.packs.registration.outcome import Outcome, Result, blaming, failed, result_of
from st2sensor.packs.registration.refusals import Refusals
from st2sensor.packs.registration.vanished import vanished
from st2sensor.settings import Content
from st2sensor.storage.base import Storage
from st2sensor.transport.topology import CREATE, DELETE, UPDATE

Progress = Callable[[str, int, int], None]
"""Told what is worked on, how much of it is done, and how much there is."""


@dataclass(slots=True, kw_only=True)
class Registry:
    """Registers what is found under the pack paths.

    :param content: where packs, configurations and virtualenvs are.
    :param templates: renders what configurations take from the datastore.
    :param announcements: collects what containers are to be told.
    :param only: the folder of the one pack to look at; None for all under the pack paths.
    """

    storage: Storage
    content: Content
    templates: Templates
    announcements: Announcements
    only: Path | None = None
    progress: Progress = lambda step, done, total: None  # noqa: ARG005
    warnings: list[str] = field(default_factory=list)
    _schemas: dict[str, tuple[TriggerType, str]] = field(default_factory=dict)
    """Trigger types declared so far, with the file that declared them."""
    _overrides: dict[str, PackOverrides] = field(default_factory=dict)
    _unreadable: set[str] = field(default_factory=set)
    """Packs with folders that cannot be read: what is registered of them stays."""
    _refusals: Refusals = field(default_factory=Refusals)
    _configs: dict[Path, str | ContentError] = field(default_factory=dict)
    """By a pack's folder: a fingerprint of what its configuration takes from the datastore, or what is wrong."""

    def register(self, kinds: Collection[str], *, prune: bool = False) -> list[Outcome]:
        """Register content of some kinds, and unregister what is gone.

        :param kinds: any of KINDS.
        :param prune: also unregister the content of packs that are absent from this host.

        Raises StorageError and StorageUnavailable; what is wrong with content is in the outcomes.
        """
        packs, outcomes = self._packs()
        outcomes += [self._core_trigger_type(item) for item in core_trigger_types()]
        if TRIGGERS in kinds:
            outcomes += self._trigger_files(packs)
        if SENSORS in kinds:
            outcomes += self._sensors(packs, prune)
        self._refusals.settle(self.storage, kinds, None if prune else self._present(packs))
        if RULES in kinds:
            outcomes += self._rules(packs, prune)
        return outcomes

    def set_up_virtualenvs(self, *, anew: bool, progress: virtualenv.Progress) -> list[Outcome]:
        """Make the virtualenvs that packs need.

        :param anew: also those that exist.
        :param progress: told what is done.
        """
        packs, outcomes = self._packs()
        return outcomes + virtualenvs.set_up(packs, self.content.virtualenvs_path, anew=anew, progress=progress)

    def _packs(self) -> tuple[list[Pack], list[Outcome]]:
        packs, errors = find_packs(self.content.pack_paths) if self.only is None else pack_at(self.only)
        return [*packs, BUNDLED], [failed("pack", error.file, error) for error in errors]

    def _files(self, packs: list[Pack], kind: str) -> tuple[list[tuple[Pack, Path]], list[Outcome]]:
        """The metadata files of one kind, and what came of packs whose folders cannot be read."""
        files: list[tuple[Pack, Path]] = []
        outcomes: list[Outcome] = []
        for pack in packs:
            try:
                files += [(pack, path) for path in metadata_files(pack, kind)]
            except ContentError as error:
                self._unreadable.add(pack.ref)
                outcomes.append(failed("pack", pack.ref, error))
        return files, outcomes

    def _core_trigger_type(self, declared: TriggerType) -> Outcome:
        """Registered when missing; a StackStorm that shares the database keeps its own."""
        known = self.storage.get(TriggerType, declared.ref)
        return self._trigger_type(known or declared, "st2sensor")

    def _trigger_files(self, packs: list[Pack]) -> Iterator[Outcome]:
        files, outcomes = self._files(packs, TRIGGERS)
        yield from outcomes
        for pack, path in files:
            try:
                declared, problem = metadata.trigger_type(pack, path)
            except ContentError as error:
                self._refusals.add_file(pack, path, TRIGGERS, error)
                yield failed("trigger type", f"{pack.ref}: {path.name}", error)
                continue
            yield self._trigger_type(declared, str(path), problem)

    def _trigger_type(self, declared: TriggerType, file: str, problem: ContentError | None = None) -> Outcome:
        try:
            if problem is not None:
                raise problem
            with blaming(file):
                return self._registered_type(declared, file)
        except ContentError as error:
            self._refusals.add(declared.pack, declared.name, declared.metadata_file or file, str(error))
            return failed("trigger type", declared.ref, error)

    def _registered_type(self, declared: TriggerType, file: str) -> Outcome:
        """Raises ContentError."""
        first, first_file = self._schemas.setdefault(declared.ref, (declared, file))
        if (first.payload_schema, first.parameters_schema) != (
            declared.payload_schema,
            declared.parameters_schema,
        ):
            message = f"trigger type {declared.ref} has another schema in {first_file}; make both equal or remove one"
            raise ContentError(message, file=file)
        if first is not declared:
            return Outcome(kind="trigger type", ref=declared.ref, result=Result.UNCHANGED)
        known = self.storage.get(TriggerType, declared.ref)
        if known != declared:
            self.storage.put(declared)
            self.announcements.add_type(declared, CREATE if known is None else UPDATE, self.storage)
        if not declared.parameters_schema and self.storage.get(Trigger, declared.ref) is None:
            trigger = Trigger(pack=declared.pack, name=declared.name, type=declared.ref)
            self.storage.put(trigger)
            self.announcements.add(trigger, CREATE, self.storage)
        return Outcome(kind="trigger type", ref=declared.ref, result=result_of(known, declared))

    def _sensors(self, packs: list[Pack], prune: bool) -> Iterator[Outcome]:
        declared: dict[str, tuple[Pack, SensorDeclaration]] = {}
        unreadable: set[tuple[str, str]] = set()
        files, outcomes = self._files(packs, SENSORS)
        yield from outcomes
        for pack, path in files:
            if not self._is_on(pack, path):
                continue
            try:
                declaration = self._overridden(metadata.sensor(pack, path))
            except ContentError as error:
                unreadable.add((pack.ref, str(path.relative_to(pack.path))))
                self._refusals.add_file(pack, path, SENSORS, error)
                yield self._unreadable_sensor(pack, path, error)
                continue
            ref = declaration.sensor.ref
            if ref in declared:
                first = declared[ref][1].file.shown
                problem = f"sensor {ref} is already declared in {first}; give one of them another class_name"
                yield failed("sensor", ref, declaration.file.error(problem, ["class_name"]))
                continue
            declared[ref] = (pack, declaration)
            self.warnings += map(str, declaration.warnings)
            if pack is not BUNDLED:
                yield from self._declared_trigger_types(declaration)
        self._warn_of_strangers(declared.values(), {pack for pack, _ in unreadable})
        for outcome, sensor in self._register_sensors(list(declared.values())):
            if outcome.result is Result.FAILED:
                # Under whatever name its file was registered before, that version stays.
                unreadable.add((sensor.pack, sensor.metadata_file or ""))
            yield outcome
        present = self._present(packs)

        def is_gone(known: SensorType | Registration) -> bool:
            kept = known.ref in declared or (known.pack, known.metadata_file) in unreadable
            return not kept and (known.pack in present or is_bundled(known) or prune)

        registered = self.storage.all(SensorType)
        for known in filter(is_gone, registered):
            yield self._unregister_sensor(known)
        if self.only is None:
            elsewhere = [known for known in registered if known.ref not in declared and not is_gone(known)]
            self.warnings += vanished(elsewhere, self.content)
        for registration in filter(is_gone, self.storage.all(Registration)):
            try:
                with blaming(registration.metadata_file):
                    self.storage.remove(Registration, registration.ref)
            except ContentError as error:
                yield failed("sensor", registration.ref, error)

    def _present(self, packs: list[Pack]) -> set[str]:
        """The packs of which is known what they hold."""
        return {pack.ref for pack in packs if pack is not BUNDLED} - self._unreadable

    def _is_on(self, pack: Pack, path: Path) -> bool:
        """Sensors of the bundled pack have to be on; its trigger types are registered in any case."""
        return pack is not BUNDLED or path.stem in self.content.core_sensors

    def _overridden(self, declaration: SensorDeclaration) -> SensorDeclaration:
        """With what an operator has set. Raises ContentError."""
        sensor, rest = self._overrides_of(declaration.sensor.pack).apply(declaration.sensor)
        return replace(declaration, sensor=sensor, overrides=rest)

    def _overrides_of(self, pack: str) -> PackOverrides:
        """Raises ContentError."""
        if pack not in self._overrides:
            self._overrides[pack] = overrides.load(self.content.overrides_path, pack)
            # Every pack reads the global file.
            told = map(str, self._overrides[pack].warnings)
            self.warnings += [warning for warning in told if warning not in self.warnings]
        return self._overrides[pack]

    def _warn_of_strangers(
        self, declared: Iterable[tuple[Pack, SensorDeclaration]], unreadable: Collection[str]
    ) -> None:
        """Overrides of sensors that there are not; of packs with files that do not parse this is not known."""
        names: dict[str, set[str]] = {}
        for pack, declaration in declared:
            if pack is not BUNDLED:
                names.setdefault(pack.ref, set()).add(declaration.sensor.name)
        for ref, sensors in names.items():
            if ref not in unreadable and ref not in self._unreadable:
                self.warnings += map(str, self._overrides_of(ref).strangers(sensors))

    def _declared_trigger_types(self, declaration: SensorDeclaration) -> Iterator[Outcome]:
        for trigger_type in declaration.trigger_types:
            yield self._trigger_type(trigger_type, declaration.file.shown)
        for ref, problem in declaration.errors:
            name, file = ref.removeprefix(f"{declaration.sensor.pack}."), declaration.sensor.metadata_file or ""
            self._refusals.add(declaration.sensor.pack, name, file, str(problem))
            yield failed("trigger type", ref, problem)

    def _register_sensors(self, declared: list[tuple[Pack, SensorDeclaration]]) -> Iterator[tuple[Outcome, SensorType]]:
        total = len(declared)
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            futures = [
                pool.submit(self._checked, pack, declaration, self._config(pack)) for pack, declaration in declared
            ]
            for done, (future, (_, declaration)) in enumerate(zip(futures, declared, strict=True), start=1):
                yield self._register_sensor(declaration, *future.result()), declaration.sensor
                self.progress(SENSORS, done, total)

    def _config(self, pack: Pack) -> str | ContentError:
        if pack.path not in self._configs:
            try:
                source = pack_config.load(self.content.configs_path, pack.ref, pack.path)
                rendered = pack_config.render(source, self.templates)
                self._configs[pack.path] = pack_config.fingerprint(source, self.templates)
                self.warnings += rendered.warnings
            except ContentError as error:
                self._configs[pack.path] = error
        return self._configs[pack.path]

    def _checked(
        self, pack: Pack, declaration: SensorDeclaration, values: str | ContentError
    ) -> tuple[str, ContentError | None]:
        """The digest of what is on disk, and what is wrong with its configuration or code; code that passed once is not
        run again."""
        sensor = declaration.sensor
        if isinstance(values, ContentError):
            return "", values
        try:
            current = digest(sensor, declaration.overrides, pack.path, self.content, values)
        except ContentError as error:
            return "", error
        known = self.storage.get(Registration, sensor.ref)
        if known is not None and known.digest == current and known.error is None:
            return current, None
        try:
            check_code(code_of(sensor, self.content), metadata_file=declaration.file.shown)
        except ContentError as error:
            return current, error
        return current, None

    def _register_sensor(self, declaration: SensorDeclaration, current: str, error: ContentError | None) -> Outcome:
        try:
            with blaming(declaration.file.shown):
                return self._registered_sensor(declaration, current, error)
        except ContentError as refused:
            return failed("sensor", declaration.sensor.ref, refused)

    def _registered_sensor(self, declaration: SensorDeclaration, current: str, error: ContentError | None) -> Outcome:
        sensor = declaration.sensor
        known = self.storage.get(SensorType, sensor.ref)
        registered = self.storage.get(Registration, sensor.ref)
        wanted = Registration(
            pack=sensor.pack,
            name=sensor.name,
            metadata_file=sensor.metadata_file or "",
            digest=current if error is None else getattr(registered, "digest", None),
            error=None if error is None else str(error),
            overrides=declaration.overrides if error is None else getattr(registered, "overrides", Overrides()),
            enabled=sensor.enabled if error is None else getattr(registered, "enabled", None),
        )
        if registered != wanted:
            self.storage.put(wanted)
        if error is not None:
            return failed("sensor", sensor.ref, error)
        if (
            known is not None
            and known.enabled != sensor.enabled
            and known.enabled != getattr(registered, "enabled", None)
            and not self._is_decided(sensor, registered)
        ):
            state = "enabled" if known.enabled else "disabled"
            self.warnings.append(f"sensor {sensor.ref} stays {state}, as an operator has set it")
            sensor = replace(sensor, enabled=known.enabled)
        result = result_of(known, sensor)
        if result is Result.UNCHANGED and registered != wanted:
            result = Result.CHANGED
        if known != sensor:
            self.storage.put(sensor)
        if result is not Result.UNCHANGED:
            self.announcements.add(sensor, CREATE if result is Result.CREATED else UPDATE, self.storage)
        return Outcome(kind="sensor", ref=sensor.ref, result=result)

    def _is_decided(self, sensor: SensorType, registered: Registration | None) -> bool:
        """Whether the overrides say if a sensor runs that was registered by StackStorm alone until now."""
        is_first = registered is None or registered.enabled is None
        return is_first and "enabled" in self._overrides_of(sensor.pack).sensors.of(sensor.name)

    def _unreadable_sensor(self, pack: Pack, path: Path, error: ContentError) -> Outcome:
        """A file that does not parse keeps its last registration, which remembers why."""
        file = str(path.relative_to(pack.path))
        for known in self.storage.all(Registration):
            if (known.pack, known.metadata_file) == (pack.ref, file):
                with suppress(ContentError), blaming(str(path)):
                    if known.error != str(error):
                        self.storage.put(replace(known, error=str(error)))
                return failed("sensor", known.ref, error)
        return failed("sensor", f"{pack.ref}: {path.name}", error)

    def _unregister_sensor(self, sensor: SensorType) -> Outcome:
        try:
            with blaming(sensor.metadata_file or sensor.ref):
                self.storage.remove(SensorType, sensor.ref)
                self.storage.remove(Registration, sensor.ref)
        except ContentError as error:
            return failed("sensor", sensor.ref, error)
        self.announcements.add(sensor, DELETE, self.storage)
        return Outcome(kind="sensor", ref=sensor.ref, result=Result.REMOVED)

    def _rules(self, packs: list[Pack], prune: bool) -> Iterator[Outcome]:
        files, outcomes = self._files(packs, RULES)
        yield from outcomes
        outcomes_of_rules = rules.register_files(
            files,
            None if prune else self._present(packs),
            self.storage,
            self.announcements,
            lambda rule: self._overrides_of(rule.pack).disables(rule.name),
        )
        for outcome in outcomes_of_rules:
            if outcome.result is Result.WAITING:
                self.warnings.append(outcome.message)
            yield outcome
