"""Registers trigger types: StackStorm's own, those of `triggers/` files, and those that sensors declare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from st2sensor.errors import ContentError
from st2sensor.models import Trigger, TriggerType
from st2sensor.packs import metadata
from st2sensor.packs.bundled import core_trigger_types
from st2sensor.packs.metadata import SensorDeclaration
from st2sensor.packs.registrable import TRIGGERS
from st2sensor.packs.registration.context import Context
from st2sensor.packs.registration.outcome import Outcome, Result, blaming, failed, result_of
from st2sensor.transport.topology import CREATE, UPDATE


@dataclass(slots=True)
class TriggerTypes:
    """Registers the trigger types of one registration."""

    _context: Context
    _declared: dict[str, tuple[TriggerType, str]] = field(default_factory=dict)
    """Trigger types declared so far, by reference, with the file that declared them."""

    def register_core(self) -> Iterator[Outcome]:
        """Register the core's types that are missing. If StackStorm shares the database, its own types are kept."""
        for declared in core_trigger_types():
            known = self._context.storage.get(TriggerType, declared.ref)
            yield self._register(known or declared, "st2sensor")

    def register_files(self) -> Iterator[Outcome]:
        """Register the types in `triggers/`."""
        files, outcomes = self._context.files(TRIGGERS)
        yield from outcomes
        for pack, path in files:
            try:
                declaration = metadata.trigger_type(pack, path)
            except ContentError as error:
                self._context.refusals.add_file(pack, path, TRIGGERS, error)
                yield failed("trigger type", f"{pack.ref}: {path.name}", error)
                continue
            self._context.warnings += map(str, declaration.warnings)
            yield self._register(declaration.trigger_type, str(path), declaration.error)

    def register_declared(self, declaration: SensorDeclaration) -> Iterator[Outcome]:
        """Register the types that a sensor's metadata declares."""
        for trigger_type in declaration.trigger_types:
            yield self._register(trigger_type, declaration.file.shown)
        for ref, problem in declaration.errors:
            name, file = ref.removeprefix(f"{declaration.sensor.pack}."), declaration.sensor.metadata_file or ""
            self._context.refusals.add(declaration.sensor.pack, name, file, str(problem))
            yield failed("trigger type", ref, problem)

    def _register(self, declared: TriggerType, file: str, problem: ContentError | None = None) -> Outcome:
        try:
            if problem is not None:
                raise problem
            with blaming(file):
                return self._registered(declared, file)
        except ContentError as error:
            self._context.refusals.add(declared.pack, declared.name, declared.metadata_file or file, str(error))
            return failed("trigger type", declared.ref, error)

    def _registered(self, declared: TriggerType, file: str) -> Outcome:
        """Store a type and, if it has no parameters, its trigger. Raises ContentError."""
        storage, announcements = self._context.storage, self._context.announcements
        filled = _without_empty_fields(declared)
        first, first_file = self._declared.setdefault(declared.ref, (filled, file))
        if (first.payload_schema, first.parameters_schema) != (filled.payload_schema, filled.parameters_schema):
            message = f"trigger type {declared.ref} has another schema in {first_file}; make both equal or remove one"
            raise ContentError(message, file=file)
        if first is not filled:
            return Outcome(kind="trigger type", ref=declared.ref, result=Result.UNCHANGED)
        stored = storage.get(TriggerType, declared.ref)
        known = None if stored is None else _without_empty_fields(stored)
        if known != filled:
            # StackStorm stores an empty description for a type that has none.
            storage.put(replace(declared, description=declared.description or ""))
            announcements.add_type(declared, CREATE if known is None else UPDATE, storage)
        if not declared.parameters_schema and storage.get(Trigger, declared.ref) is None:
            trigger = Trigger(pack=declared.pack, name=declared.name, type=declared.ref)
            storage.put(trigger)
            announcements.add(trigger, CREATE, storage)
        return Outcome(kind="trigger type", ref=declared.ref, result=result_of(known, filled))


def _without_empty_fields(trigger_type: TriggerType) -> TriggerType:
    """Return a type that compares equal to the same type in StackStorm's other form: it stores the empty tags and
    schemas of a new type, and removes them when the type is registered again. It stores an empty description for none.
    """
    return replace(
        trigger_type,
        description=trigger_type.description or None,
        tags=trigger_type.tags or None,
        payload_schema=trigger_type.payload_schema or None,
        parameters_schema=trigger_type.parameters_schema or None,
    )
