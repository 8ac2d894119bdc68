"""Locates a sensor's code as the wrapper loads it: file, interpreter and search path. Computes its digest."""

from __future__ import annotations

import hashlib
import json
import os
import site
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from st2sensor.errors import ContentError
from st2sensor.models import Overrides, SensorType
from st2sensor.packs.bundled import BUNDLED, is_bundled
from st2sensor.packs.code import virtualenv
from st2sensor.packs.configuration import schema as config_schema
from st2sensor.packs.configuration.source import config_file
from st2sensor.settings import Content
from st2sensor.system import regular_file

MOST_FILES = 100_000
"""Maximum number of files and folders below a pack's folder of code; it may be a link to anywhere."""

LARGEST = 16_000_000
"""Maximum number of bytes of one of these files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The facts that a wrapper needs to load a sensor's class."""

    interpreter: Path
    file: Path
    class_name: str
    search_paths: tuple[Path, ...]
    """Folders that come after all packages of the interpreter."""
    pack: Path
    """The pack's folder."""
    library_paths: tuple[Path, ...] = ()
    """Folders that come first, even before the standard library, as in StackStorm: the pack's lib/."""
    poll_interval: float | None = None
    """The argument for the class's constructor."""
    shadow_stackstorm: bool = False
    """Whether our versions of StackStorm's modules take precedence over those installed in the virtualenv."""

    @property
    def own_paths(self) -> tuple[Path, ...]:
        """The folders with the pack's modules, in the order in which they are searched."""
        return (*self.library_paths, *self.search_paths)

    @property
    def fallback_paths(self) -> tuple[str, ...]:
        """The container's packages, a last resort for interpreters of the same version."""
        return tuple(site.getsitepackages())

    def for_wrapper(self) -> dict[str, Any]:
        """Return the code in the form of the wrapper protocol."""
        return {
            "file": str(self.file),
            "class_name": self.class_name,
            "library_paths": [str(path) for path in self.library_paths],
            "search_paths": [str(path) for path in self.search_paths],
            "fallback_paths": list(self.fallback_paths),
            "fallback_version": list(sys.version_info[:2]),
            "shadow_stackstorm": self.shadow_stackstorm,
        }


def code_of(sensor: SensorType, content: Content) -> Code:
    """Locate a registered sensor's code on this host. Raises ContentError if its pack lacks the virtualenv it needs."""
    code = located(sensor, content)
    virtualenv.check(content.virtualenvs_path, sensor.pack, code.pack)
    return code


def located(sensor: SensorType, content: Content) -> Code:
    """Locate a registered sensor's code, whether or not its pack has a virtualenv."""
    bundled = is_bundled(sensor)
    file = Path(sensor.artifact_uri.removeprefix("file://"))
    if bundled:
        file = _in_folder(sensor, BUNDLED.path)
    elif not file.is_file():
        file = _in_local_pack(sensor, content) or file
    sensors = [parent for parent in file.parents if parent.name == "sensors"]
    pack = sensors[0].parent if sensors else file.parent
    libraries = [folder.parent / "lib" for folder in sensors] if content.enable_common_libs else []
    return Code(
        # StackStorm's own core pack, if installed, may have a virtualenv; the bundled one must not use it.
        interpreter=Path(sys.executable) if bundled else virtualenv.interpreter(content.virtualenvs_path, sensor.pack),
        file=file,
        class_name=sensor.class_name,
        search_paths=tuple(dict.fromkeys([file.parent, *sensors])),
        pack=pack,
        library_paths=tuple(libraries),
        poll_interval=sensor.poll_interval,
        shadow_stackstorm=content.shadow_stackstorm,
    )


def digest(sensor: SensorType, overrides: Overrides, pack: Path, content: Content, values: str | None) -> str:
    """Return a digest of a sensor's metadata, overrides, configuration and code. Raises ContentError.

    A sensor restarts when its digest changes. The log level and the limits for its events are left out, because
    they can change while the sensor runs.

    :param values: the fingerprint of the datastore values that the configuration uses; None if the configuration does
        not count, because instances have their own.
    """
    fields = {name: value for name, value in asdict(sensor).items() if name != "id"}
    fields["overrides"] = of_start(overrides)
    fields["values"] = values
    fields["virtualenv"] = virtualenv.mark(content.virtualenvs_path, sensor.pack)
    total = hashlib.sha256(json.dumps(fields, sort_keys=True).encode())
    folders = ["."] if pack == BUNDLED.path else ["sensors", "lib"]
    code = [path for folder in folders for path in _code_below(pack / folder)]
    configuration = [] if values is None else [config_file(content.configs_path, sensor.pack)]
    for path in [*configuration, pack / config_schema.FILE, *code]:
        try:
            if path.is_file():
                # The raw name, because it may have any encoding.
                total.update(b"\0" + os.fsencode(path) + b"\0" + regular_file.read(path, LARGEST))
        except OSError as exception:
            problem = regular_file.reason(exception)
            raise ContentError(
                f"cannot be read: {problem}; correct its size or permissions", file=str(path)
            ) from exception
    return total.hexdigest()


def _code_below(folder: Path) -> list[Path]:
    """Return the Python files below a folder, by name. Raises ContentError."""
    found, number = list[Path](), 0
    for place, folders, files in os.walk(folder):
        number += len(folders) + len(files)
        if number > MOST_FILES:
            problem = f"holds more than {MOST_FILES:,} files; move everything that is not code to another place"
            raise ContentError(problem, file=str(folder))
        found += [Path(place, name) for name in files if name.endswith(".py")]
    return sorted(found)


def of_start(overrides: Overrides) -> dict[str, Any]:
    """Return the overrides that take effect only when a sensor starts."""
    return asdict(replace(overrides, log_level=None, expect=None, limits=None))


def _in_local_pack(sensor: SensorType, content: Content) -> Path | None:
    """Return the file in this host's copy of the pack, for a sensor that another host has registered."""
    for folder in content.pack_paths:
        candidate = _in_folder(sensor, folder / sensor.pack)
        if candidate.is_file():
            return candidate
    return None


def _in_folder(sensor: SensorType, pack: Path) -> Path:
    """Return a sensor's file in a pack's folder."""
    return pack.joinpath(*sensor.entry_point.split(".")[:-1]).with_suffix(".py")
