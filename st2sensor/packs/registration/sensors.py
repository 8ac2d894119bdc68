"""Registers sensors, and unregisters those that are gone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

from st2sensor.errors import ContentError
from st2sensor.models import Overrides, Pack, Registration, SensorType, Silence
from st2sensor.packs import metadata
from st2sensor.packs.bundled import BUNDLED, is_bundled
from st2sensor.packs.code import virtualenv
from st2sensor.packs.code.location import located
from st2sensor.packs.metadata import SensorDeclaration
from st2sensor.packs.registrable import SENSORS
from st2sensor.packs.registration.context import Context
from st2sensor.packs.registration.instances.registering import Instances
from st2sensor.packs.registration.outcome import Outcome, Result, blaming, failed, result_of
from st2sensor.packs.registration.sensor_checks import Checked, SensorChecks
from st2sensor.packs.registration.trigger_types import TriggerTypes
from st2sensor.settings import Content
from st2sensor.transport.topology import CREATE, DELETE, UPDATE

NAMED_SENSORS = 3
"""Maximum number of sensors that a warning names."""


@dataclass(slots=True)
class Sensors:
    """Registers the sensors of one registration."""

    _context: Context
    _types: TriggerTypes
    _declared: dict[str, tuple[Pack, SensorDeclaration]] = field(default_factory=dict)
    """By the sensor's reference."""
    _plain: dict[str, tuple[Pack, SensorType]] = field(default_factory=dict)
    """The same sensors without overrides."""
    _kept: set[tuple[str, str]] = field(default_factory=set)
    """Packs and metadata files that failed. Their last registrations are kept."""

    def register(self, prune: bool) -> Iterator[Outcome]:
        """Register every sensor with the trigger types that it declares.

        :param prune: also unregister the sensors of packs that are not on this host.
        """
        yield from self._read()
        self._warn_of_other_pythons()
        self._warn_of_unknown_names({pack for pack, _ in self._kept})
        incomplete, failing = {pack for pack, _ in self._kept}, set[str]()
        for checked in SensorChecks(self._context).run(list(self._declared.values())):
            outcome = self._register(checked)
            if outcome.result is Result.FAILED:
                # The file may have been registered under another name; that version is kept.
                sensor = checked.declaration.sensor
                self._kept.add((sensor.pack, sensor.metadata_file or ""))
                failing.add(sensor.ref)
            yield outcome
        yield from self._unregister_gone(prune)
        yield from Instances(self._context).register(self._plain, failing=failing, incomplete=incomplete)

    def _warn_of_other_pythons(self) -> None:
        """Warn of packs whose sensors run on a Python that they do not support."""
        used = {ref.partition(".")[0] for ref in self._declared}
        for pack in self._context.packs:
            if pack is not BUNDLED and pack.ref in used:
                warning = virtualenv.unsupported(pack, self._context.content.virtualenvs_path)
                self._context.warnings += [] if warning is None else [str(warning)]

    def _read(self) -> Iterator[Outcome]:
        """Read all metadata files, and register the trigger types in them."""
        files, outcomes = self._context.files(SENSORS)
        yield from outcomes
        for pack, path in files:
            if not self._is_on(pack, path):
                continue
            try:
                plain = metadata.sensor(pack, path)
                declaration = self._overridden(plain)
            except ContentError as error:
                self._kept.add((pack.ref, str(path.relative_to(pack.path))))
                self._context.refusals.add_file(pack, path, SENSORS, error)
                yield self._unreadable(pack, path, error)
                continue
            ref = declaration.sensor.ref
            if ref in self._declared:
                first = self._declared[ref][1].file.shown
                problem = f"sensor {ref} is already declared in {first}; give one of them another class_name"
                yield failed("sensor", ref, declaration.file.error(problem, ["class_name"]))
                continue
            self._declared[ref] = (pack, declaration)
            self._plain[ref] = (pack, plain.sensor)
            self._context.warnings += map(str, declaration.warnings)
            if pack is not BUNDLED:
                yield from self._types.register_declared(declaration)

    def _is_on(self, pack: Pack, path: Path) -> bool:
        """Return whether a sensor may run. Sensors of the bundled pack must be switched on; its trigger types are
        always registered."""
        return pack is not BUNDLED or path.stem in self._context.content.core_sensors

    def _overridden(self, declaration: SensorDeclaration) -> SensorDeclaration:
        """Apply an operator's overrides. Raises ContentError."""
        sensor, rest = self._context.overrides_of(declaration.sensor.pack).apply(declaration.sensor)
        return replace(declaration, sensor=sensor, overrides=rest)

    def _warn_of_unknown_names(self, incomplete: Collection[str]) -> None:
        """Warn of overrides for sensors that do not exist.

        :param incomplete: packs with files that cannot be parsed, so that not all of their sensors are known.
        """
        names: dict[str, set[str]] = {}
        for pack, declaration in self._declared.values():
            if pack is not BUNDLED:
                names.setdefault(pack.ref, set()).add(declaration.sensor.name)
        for ref, sensors in names.items():
            if ref not in incomplete and ref in self._context.present():
                self._context.warnings += map(str, self._context.overrides_of(ref).strangers(sensors))

    def _unreadable(self, pack: Pack, path: Path, error: ContentError) -> Outcome:
        """Keep the last registration of a file that cannot be parsed, and note the reason in it."""
        storage = self._context.storage
        file = str(path.relative_to(pack.path))
        for known in storage.all(Registration):
            if (known.pack, known.metadata_file) == (pack.ref, file):
                with suppress(ContentError), blaming(str(path)):
                    if known.error != str(error):
                        storage.put(replace(known, error=str(error)))
                return failed("sensor", known.ref, error)
        return failed("sensor", f"{pack.ref}: {path.name}", error)

    def _register(self, checked: Checked) -> Outcome:
        try:
            with blaming(checked.declaration.file.shown):
                return self._registered(checked)
        except ContentError as refused:
            return failed("sensor", checked.declaration.sensor.ref, refused)

    def _registered(self, checked: Checked) -> Outcome:
        storage = self._context.storage
        sensor, error = checked.declaration.sensor, checked.error
        known = storage.get(SensorType, sensor.ref)
        registered = storage.get(Registration, sensor.ref)
        wanted = _registration(checked, registered)
        if registered != wanted:
            storage.put(wanted)
        if error is not None:
            return failed("sensor", sensor.ref, error)
        if (
            known is not None
            and known.enabled != sensor.enabled
            and known.enabled != getattr(registered, "enabled", None)
            and not self._is_decided(sensor, registered)
        ):
            state = "enabled" if known.enabled else "disabled"
            self._context.warnings.append(f"sensor {sensor.ref} stays {state}, as an operator has set it")
            sensor = replace(sensor, enabled=known.enabled)
        result = result_of(known, sensor)
        if result is Result.UNCHANGED and registered != wanted:
            result = Result.CHANGED
        if known != sensor:
            storage.put(sensor)
        if result is not Result.UNCHANGED:
            self._context.announcements.add(sensor, CREATE if result is Result.CREATED else UPDATE, storage)
        return Outcome(kind="sensor", ref=sensor.ref, result=result)

    def _is_decided(self, sensor: SensorType, registered: Registration | None) -> bool:
        """Return whether the overrides decide about a sensor that only StackStorm had registered until now."""
        is_first = registered is None or registered.enabled is None
        return is_first and "enabled" in self._context.overrides_of(sensor.pack).sensors.of(sensor.name)

    def _unregister_gone(self, prune: bool) -> Iterator[Outcome]:
        storage = self._context.storage
        is_gone = self._gone(prune)
        registered = storage.all(SensorType)
        for known in filter(is_gone, registered):
            yield self._unregister(known)
        if self._context.is_whole:
            elsewhere = [known for known in registered if known.ref not in self._declared and not is_gone(known)]
            self._context.warnings += vanished(elsewhere, self._context.content)
            self._context.warnings += self._doubled(elsewhere)
        for registration in filter(is_gone, storage.all(Registration)):
            try:
                with blaming(registration.metadata_file):
                    storage.remove(Registration, registration.ref)
                    storage.remove(Silence, registration.ref)
            except ContentError as error:
                yield failed("sensor", registration.ref, error)

    def _doubled(self, elsewhere: Iterable[SensorType]) -> Iterator[str]:
        """Yield a warning for each pack of which StackStorm has registered sensors under the name of its folder."""
        folders = {pack.path.name: pack for pack, _ in self._declared.values()}
        for known in elsewhere:
            pack = folders.get(known.pack)
            ref = None if pack is None else f"{pack.ref}.{known.name}"
            if pack is not None and known.enabled and ref in self._declared:
                del folders[known.pack]
                yield (
                    f"{known.ref} and {ref} are one sensor, which runs twice: StackStorm names a pack by its folder, "
                    f"{pack.path}; name the folder {pack.ref}, then run st2ctl reload --prune"
                )

    def _gone(self, prune: bool) -> Callable[[SensorType | Registration], bool]:
        """Return a test of whether a registered sensor is to be unregistered."""
        present = self._context.present()

        def is_gone(known: SensorType | Registration) -> bool:
            is_kept = known.ref in self._declared or (known.pack, known.metadata_file) in self._kept
            return not is_kept and (known.pack in present or is_bundled(known) or prune)

        return is_gone

    def _unregister(self, sensor: SensorType) -> Outcome:
        storage = self._context.storage
        try:
            with blaming(sensor.metadata_file or sensor.ref):
                storage.remove(SensorType, sensor.ref)
                storage.remove(Registration, sensor.ref)
                storage.remove(Silence, sensor.ref)
        except ContentError as error:
            return failed("sensor", sensor.ref, error)
        self._context.announcements.add(sensor, DELETE, storage)
        return Outcome(kind="sensor", ref=sensor.ref, result=Result.REMOVED)


def _registration(checked: Checked, known: Registration | None) -> Registration:
    """Return the record to store for a sensor. A failed check keeps the values of the last successful one."""
    sensor, error = checked.declaration.sensor, checked.error
    return Registration(
        pack=sensor.pack,
        name=sensor.name,
        metadata_file=sensor.metadata_file or "",
        digest=checked.digest if error is None else getattr(known, "digest", None),
        error=None if error is None else str(error),
        overrides=checked.declaration.overrides if error is None else getattr(known, "overrides", Overrides()),
        enabled=sensor.enabled if error is None else getattr(known, "enabled", None),
    )


def vanished(sensors: Iterable[SensorType], content: Content) -> Iterator[str]:
    """Yield a warning for each pack that is gone from this host while its sensors stay registered."""
    gone = sorted((sensor for sensor in sensors if not located(sensor, content).file.is_file()), key=lambda it: it.ref)
    for pack, found in groupby(gone, key=lambda sensor: sensor.pack):
        refs = [sensor.ref for sensor in found]
        more = f" and {len(refs) - NAMED_SENSORS} more" if len(refs) > NAMED_SENSORS else ""
        yield (
            f"pack {pack} is not on this host, but these sensors are still registered: "
            f"{', '.join(refs[:NAMED_SENSORS])}{more}; put the pack back, or unregister them with st2ctl reload --prune"
        )
