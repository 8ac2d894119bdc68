"""A pack's configuration and its schema, as they are on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from st2sensor.errors import ContentError
from st2sensor.packs.bundled import BUNDLED
from st2sensor.packs.configuration import schema as config_schema
from st2sensor.packs.configuration.schema import Item, Place
from st2sensor.packs.configuration.templates import is_template
from st2sensor.packs.yaml_files import File, read
from st2sensor.system.regular_file import is_there


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Values of an instance of a sensor that are laid over its pack's configuration.

    :param path: the file that lists the instance.
    :param file: that file, if its lines are known.
    :param place: the place of these values in that file.
    """

    path: Path
    place: Place
    values: Mapping[str, Any]
    file: File | None = None

    def error(self, message: str, place: Place) -> ContentError:
        """Return an error at a place in these values."""
        message = f"{dotted(self.place)}: {message}"
        if self.file is None:
            return ContentError(message, file=str(self.path))
        return self.file.error(message, (*self.place, *place))


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A configuration before it is rendered and checked.

    :param file: the configuration file; None when there is none.
    :param path: the place of the configuration file, whether or not it exists.
    :param schema: the schema of the whole configuration; None when the pack has none.
    :param is_optional: whether the pack is meant to run without a configuration.
    :param layer: the values of an instance; None for the pack's own configuration.
    """

    file: File | None
    path: Path
    schema: Item | None
    is_optional: bool = False
    layer: Layer | None = None

    @property
    def values(self) -> dict[str, Any]:
        """The values in the file, with the values of the layer on top; empty if there are neither."""
        own = {} if self.file is None or self.file.data is None else dict(self.file.data)
        return own if self.layer is None else merged(own, self.layer.values)

    @property
    def is_written(self) -> bool:
        """Whether someone wrote a configuration."""
        return self.file is not None or self.layer is not None

    @property
    def is_empty(self) -> bool:
        """Whether there is neither a configuration nor a schema."""
        return not self.is_written and self.schema is None

    @property
    def absence(self) -> ContentError | None:
        """A warning for operators when there is no configuration, and the schema requires values without a default.

        A pack whose schema has all the defaults is meant to run on them, as in StackStorm.
        """
        if self.is_written or not self.schema or self.is_optional:
            return None
        lacking = ", ".join(map(dotted, config_schema.undefaulted(self.schema)))
        if not lacking:
            return None
        return self.error(
            f"the pack has no configuration, and runs on the defaults of its {config_schema.FILE}. These required keys "
            f"have no default: {lacking}. Write a configuration, then run st2ctl reload",
            (),
        )

    def templates(self) -> Iterator[str]:
        """Yield the values that hold expressions."""
        return filter(is_template, texts(self.values))

    def error(self, message: str, place: Place) -> ContentError:
        """Return an error at a place in the configuration. If the pack's file lacks the place, the layer lacks it."""
        if self.layer is not None and (_has(self.layer.values, place) or not self._has_own(place)):
            return self.layer.error(message, place)
        if self.file is None:
            return ContentError(message, file=str(self.path))
        return self.file.error(message, place)

    def _has_own(self, place: Place) -> bool:
        return bool(place) and self.file is not None and _has(self.file.data, place)


def merged(below: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with others over them: mappings are merged, everything else is replaced."""
    found = dict(below)
    for key, value in over.items():
        known = found.get(key)
        both = isinstance(value, Mapping) and isinstance(known, Mapping)
        found[key] = merged(known, value) if both else value  # type: ignore[arg-type]
    return found


def _has(values: Any, place: Place) -> bool:
    for part in place:
        try:
            values = values[part]
        except (LookupError, TypeError):
            return False
    return bool(place)


def config_file(configs: Path, pack: str) -> Path:
    """Return the place of a pack's configuration, whether or not it exists."""
    return configs / f"{pack}.yaml"


def load(configs: Path, pack: str, folder: Path) -> Source:
    """Read a pack's configuration and schema. Raises ContentError.

    :param configs: the folder of all configurations.
    :param folder: the pack's folder.
    """
    return source_of(config_file(configs, pack), folder)


def source_of(path: Path, folder: Path) -> Source:
    """Read a configuration at any place, and the schema of its pack. Raises ContentError.

    :param folder: the pack's folder.
    """
    file = read(path) if is_there(path) else None
    if file is not None and file.data is not None and not isinstance(file.data, dict):
        raise file.error("must be a mapping of configuration keys to values")
    return Source(file=file, path=path, schema=config_schema.load(folder), is_optional=folder == BUNDLED.path)


def leaves(value: Any) -> Iterator[str | int | float]:
    """Yield the texts and numbers in a value, at any depth."""
    if isinstance(value, dict):
        for part in value.values():
            yield from leaves(part)
    elif isinstance(value, list):
        for part in value:
            yield from leaves(part)
    elif value is not None and not isinstance(value, bool):
        yield value


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a value, at any depth."""
    return (leaf for leaf in leaves(value) if isinstance(leaf, str))


def dotted(place: Place) -> str:
    """Return a place as messages show it."""
    return ".".join(map(str, place))
