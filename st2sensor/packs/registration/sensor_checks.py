"""Checks what a sensor needs to start: its pack's configuration, its virtualenv and its code."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from st2sensor.errors import ContentError
from st2sensor.models import Overrides, Pack, Registration
from st2sensor.packs.code.check import check_code
from st2sensor.packs.code.location import code_of, digest
from st2sensor.packs.configuration import pack_config
from st2sensor.packs.configuration import source as pack_source
from st2sensor.packs.metadata import SensorDeclaration
from st2sensor.packs.registrable import SENSORS
from st2sensor.packs.registration.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The result of checking one sensor.

    :param digest: the digest of the sensor's content on disk; empty when it cannot be read.
    :param error: why the sensor cannot start, or None.
    """

    declaration: SensorDeclaration
    digest: str
    error: ContentError | None


@dataclass(slots=True)
class SensorChecks:
    """Checks the sensors of one registration, several at a time."""

    _context: Context
    _configurations: dict[Path, str | ContentError] = field(default_factory=dict)
    """By pack folder: a fingerprint of the datastore values that the configuration uses, or the error in it."""

    def run(self, declared: Sequence[tuple[Pack, SensorDeclaration]]) -> Iterator[Checked]:
        """Check sensors, and yield the results in the given order."""
        pool = ThreadPoolExecutor(max_workers=os.cpu_count())
        try:
            futures = [
                pool.submit(self._check, pack, declaration, self._values(pack, declaration))
                for pack, declaration in declared
            ]
            for done, future in enumerate(futures, start=1):
                yield future.result()
                self._context.progress(SENSORS, done, len(declared))
        finally:
            # After an interruption, waiting checks are not started.
            pool.shutdown(cancel_futures=True)

    def _values(self, pack: Pack, declaration: SensorDeclaration) -> str | ContentError | None:
        """Return the values that a sensor's configuration uses; None if only its instances have a configuration."""
        return None if self._context.has_instances(declaration.sensor) else self._configuration(pack)

    def _configuration(self, pack: Pack) -> str | ContentError:
        if pack.path not in self._configurations:
            templates = self._context.templates
            try:
                source = pack_source.load(self._context.content.configs_path, pack.ref, pack.path)
                self._context.warnings += map(str, pack_config.unknown_keys(source))
                rendered = pack_config.render(source, templates)
                self._configurations[pack.path] = pack_config.fingerprint(source, templates)
                self._context.warnings += rendered.warnings
            except ContentError as error:
                self._configurations[pack.path] = error
        return self._configurations[pack.path]

    def _check(self, pack: Pack, declaration: SensorDeclaration, values: str | ContentError | None) -> Checked:
        """Check one sensor. Code that passed before and has not changed does not run again."""
        if isinstance(values, ContentError):
            return Checked(declaration=declaration, digest="", error=values)
        sensor, content = declaration.sensor, self._context.content
        current = ""
        # Instances have settings of their own, which include those of their class.
        digested = (sensor, declaration.overrides)
        if values is None:
            digested = (replace(sensor, poll_interval=None), Overrides())
        try:
            current = digest(*digested, pack.path, content, values)
            known = self._context.storage.get(Registration, sensor.ref)
            if known is None or known.digest != current or known.error is not None:
                check_code(code_of(sensor, content), metadata_file=declaration.file.shown)
        except ContentError as error:
            return Checked(declaration=declaration, digest=current, error=error)
        return Checked(declaration=declaration, digest=current, error=None)
