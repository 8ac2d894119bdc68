"""A pack's configuration: `<base_path>/configs/<pack>.yaml`, completed and checked by its `config.schema.yaml`.

Follows StackStorm: expressions of the datastore in values are rendered, secrets among them decrypted, and missing
values take the schema's defaults as they are written there. A pack without a configuration runs on these alone. Beyond
StackStorm, a rendered value takes the type that its schema names, and a configuration that breaks its schema is an
error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from st2sensor.errors import ContentError, DatastoreError, DatastoreUnavailable, WorkFailed
from st2sensor.masking import MASK, forms, lines, masked
from st2sensor.models import USER_SCOPE
from st2sensor.packs.bundled import BUNDLED
from st2sensor.packs.configuration import schema as config_schema
from st2sensor.packs.configuration.schema import Item, Place
from st2sensor.packs.configuration.templates import MissingKey, NotRendered, Rendered, Templates, is_template
from st2sensor.packs.yaml_files import File, read
from st2sensor.schemas import objection

SECRET_KEYS = frozenset({"password", "auth_token", "token", "secret", "credentials", "st2_auth_token"})
"""Keys whose values are secret whatever the schema says, as in StackStorm."""

TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}
"""What a rendered text may become, by the type its schema names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is on disk.

    :param file: the configuration; None when there is none.
    :param path: where it is, or would be.
    :param schema: of the whole of it; None when the pack has none.
    :param is_optional: whether the pack is meant to run without a configuration.
    """

    file: File | None
    path: Path
    schema: Item | None
    is_optional: bool = False

    @property
    def values(self) -> dict[str, Any]:
        return {} if self.file is None or self.file.data is None else dict(self.file.data)

    @property
    def is_empty(self) -> bool:
        """Whether there is neither a configuration nor a schema."""
        return self.file is None and self.schema is None

    @property
    def absence(self) -> ContentError | None:
        """What to know when there is a schema and no configuration."""
        if self.file is not None or not self.schema or not self.schema["properties"] or self.is_optional:
            return None
        lacking = ", ".join(map(_dotted, config_schema.undefaulted(self.schema)))
        without = f" It lacks what is required and has no default: {lacking}." if lacking else ""
        return self.error(
            f"the pack has no configuration, and runs on the defaults of its {config_schema.FILE}.{without} Write one, "
            "then run st2ctl reload",
            (),
        )

    def templates(self) -> Iterator[str]:
        """The expressions in values."""
        return filter(is_template, texts(self.values))

    def error(self, message: str, place: Place) -> ContentError:
        if self.file is None:
            return ContentError(message, file=str(self.path))
        return self.file.error(message, place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a sensor gets.

    :param secrets: texts that are not to be shown.
    :param warnings: what an operator should know.
    """

    values: dict[str, Any]
    secrets: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()


def config_file(configs: Path, pack: str) -> Path:
    """Where a pack's configuration is, if it has any."""
    return configs / f"{pack}.yaml"


def load(configs: Path, pack: str, folder: Path) -> Source:
    """Read a pack's configuration and schema. Raises ContentError.

    :param folder: the pack's.
    """
    return source_of(config_file(configs, pack), folder)


def source_of(path: Path, folder: Path) -> Source:
    """The same, of a configuration wherever it is. Raises ContentError."""
    file = read(path) if path.exists() else None
    if file is not None and file.data is not None and not isinstance(file.data, dict):
        raise file.error("must be a mapping of configuration keys to values")
    return Source(file=file, path=path, schema=config_schema.load(folder), is_optional=folder == BUNDLED.path)


def render(source: Source, templates: Templates, secret_keys: frozenset[str] = SECRET_KEYS) -> Config:
    """Complete a configuration. Blocks on the datastore.

    :param secret_keys: keys whose values are secret beside those that the schema says are.

    Raises ContentError with file, key and remedy, and what the lookup raises.
    """
    return _Rendering(source, templates.afresh(), secret_keys).config()


def fingerprint(source: Source, templates: Templates) -> str:
    """Changes whenever a datastore entry changes that a configuration uses. Secrets stay encrypted."""
    used: dict[str, str | None] = {}
    noting = templates.noting(used)
    for text in source.templates():
        with suppress(MissingKey, NotRendered, DatastoreError):
            noting.render(text)
    return hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()


@dataclass(slots=True)
class _Rendering:
    source: Source
    templates: Templates
    secret_keys: frozenset[str]
    secrets: set[str] = field(default_factory=set)
    secret_places: set[Place] = field(default_factory=set)
    missing: dict[Place, MissingKey] = field(default_factory=dict)

    def config(self) -> Config:
        whole = self.source.schema or {}
        values = self._rendered(self.source.values, whole, ())
        if self.source.schema is not None:
            if self.source.file is not None:
                # Without one, nothing is checked, as in StackStorm.
                self._check(values)
            values = config_schema.with_defaults(values, whole, (), self._as_written)
        warnings = tuple(
            f"{self.source.error(f'{_dotted(place)}: {_no_key(missing)}; until then it is null', place)}"
            for place, missing in self.missing.items()
        )
        absence = () if self.source.absence is None else (str(self.source.absence),)
        return Config(values=values, secrets=lines(self.secrets), warnings=absence + warnings)

    def _as_written(self, value: Any, item: Item, place: Place) -> Any:
        """A default: expressions in it are text like any other."""
        return self._rendered(value, item, place, is_default=True)

    def _rendered(
        self, value: Any, item: Item, place: Place, inherited: bool = False, *, is_default: bool = False
    ) -> Any:
        """:param inherited: whether what it is a part of is secret; :param is_default: whether to render nothing."""
        is_secret = inherited or item.get("secret") is True or bool(place and place[-1] in self.secret_keys)
        if isinstance(value, dict):
            return {
                key: self._rendered(
                    part, config_schema.property_of(item, key), (*place, key), is_secret, is_default=is_default
                )
                for key, part in value.items()
            }
        if isinstance(value, list):
            return [
                self._rendered(
                    part, config_schema.item_of(item, index), (*place, index), is_secret, is_default=is_default
                )
                for index, part in enumerate(value)
            ]
        if isinstance(value, str) and not is_default and is_template(value):
            rendered = self._render(value, item, place, is_secret)
            if rendered is None:
                return None
            self.secrets |= rendered.decrypted
            is_secret = is_secret or rendered.is_secret
            if is_secret:
                self.secrets.add(rendered.text)
            value = _typed(rendered.text, item) if rendered.text else None
        if is_secret:
            self.secret_places.add(place)
            self.secrets |= set(map(str, _leaves(value)))
        return value

    def _render(self, text: str, item: Item, place: Place, is_secret: bool) -> Rendered | None:
        """None when the datastore lacks a key. Raises ContentError."""
        try:
            return self.templates.render(text, secret=item.get("secret") is True)
        except MissingKey as exception:
            self.missing[place] = exception
            return None
        except DatastoreUnavailable:
            raise
        except (NotRendered, DatastoreError) as exception:
            secrets = exception.secrets if isinstance(exception, NotRendered) else frozenset()
            shown = MASK if is_secret and not text.lstrip().startswith("{") else text
            reason = objection.bounded(masked(str(exception), forms(secrets | self.secrets)))
            raise self.source.error(
                f"{_dotted(place)}: {shown} cannot be rendered: {reason}; correct it, or the datastore", place
            ) from None

    def _check(self, values: dict[str, Any]) -> None:
        assert self.source.schema is not None
        try:
            found = self.templates.violation(values, self.source.schema)
        except WorkFailed as failure:
            raise self.source.error(
                f"it cannot be checked against the pack's {config_schema.FILE}: {failure}; simplify the schema",
                (),
            ) from failure
        if found is None:
            return
        place, message = tuple(found[0]), found[1]
        if place in self.secret_places:
            message = message.replace(repr(_at(values, place)), MASK)
        message = masked(message, forms(self.secrets))
        lacking = next((missing for where, missing in self.missing.items() if where[: len(place)] == place), None)
        problem = message if lacking is None else f"{message}: {_no_key(lacking)}"
        where = f"{_dotted(place)}: " if place else ""
        raise self.source.error(
            f"{where}{problem}; set it as the pack's {config_schema.FILE} says, then run st2ctl reload", place
        )


def _leaves(value: Any) -> Iterator[str | int | float]:
    """What a value is made of, but for what says nothing: null, true and false."""
    if isinstance(value, dict):
        for part in value.values():
            yield from _leaves(part)
    elif isinstance(value, list):
        for part in value:
            yield from _leaves(part)
    elif value is not None and not isinstance(value, bool):
        yield value


def _at(values: Any, place: Place) -> Any:
    for part in place:
        values = values[part]
    return values


def _no_key(missing: MissingKey) -> str:
    whose, name = "", missing.name
    if missing.scope == USER_SCOPE:
        user, _, name = name.partition(":")
        whose = f"--scope user --user {user} "
    return f"{missing}; set it with: st2sensor key set {whose}{name} VALUE"


def _typed(text: str, item: Item) -> Any:
    """A rendered text as its schema names it, if it can be read so."""
    wanted = {kind for name in config_schema.types_of(item) for kind in TYPES.get(name, ())}
    if not wanted or "string" in config_schema.types_of(item):
        return text
    # Python's words for them, too: values of the datastore are what str() makes of them.
    text_of_json = text.lower() if text in ("True", "False") else text
    with suppress(ValueError, RecursionError):
        value = json.loads(text_of_json)
        if type(value) in wanted:
            return value
    return text


def texts(value: Any) -> Iterator[str]:
    """The texts in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)


def _dotted(place: Place) -> str:
    return ".".join(map(str, place))
