"""Renders a pack's configuration, `<base_path>/configs/<pack>.yaml`. Completes and checks it by `config.schema.yaml`.

As in StackStorm, datastore expressions in values are rendered, secrets among them are decrypted, and missing values
take the schema's defaults unrendered. A pack without a configuration runs on the defaults alone. Beyond StackStorm, a
rendered value takes the type that its schema names, and a configuration that breaks its schema is an error.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from st2sensor.errors import (
    ContentError,
    DatastoreError,
    DatastoreUnavailable,
    SecretError,
    SecretUnavailable,
    WorkFailed,
)
from st2sensor.masking import MASK, forms, lines, masked
from st2sensor.models import USER_SCOPE
from st2sensor.packs.configuration import schema as config_schema
from st2sensor.packs.configuration.schema import Item, Place
from st2sensor.packs.configuration.source import Source, dotted, leaves
from st2sensor.packs.configuration.templates import (
    MissingKey,
    NotRendered,
    Rendered,
    SecretNotRead,
    Templates,
    is_template,
)
from st2sensor.schemas import objection

SECRET_KEYS = frozenset({"password", "auth_token", "token", "secret", "credentials", "st2_auth_token"})
"""Keys whose values are always secret, as in StackStorm."""

DECRYPT = "decrypt_kv"
"""The filter that decrypts a value."""

TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}
"""Python types that a rendered text may become, by the type in its schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A rendered configuration, as a sensor gets it.

    :param secrets: texts to mask wherever they are shown.
    :param warnings: messages for operators.
    """

    values: dict[str, Any]
    secrets: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()


def render(source: Source, templates: Templates, secret_keys: frozenset[str] = SECRET_KEYS) -> Config:
    """Render, complete and check a configuration. Blocks on the datastore.

    Raises ContentError with file, key and remedy, and every exception that the lookup raises.

    :param secret_keys: keys whose values are secret, in addition to those that the schema marks.
    """
    return _Rendering(source, templates.afresh(), secret_keys).config()


def unknown_keys(source: Source) -> Iterator[ContentError]:
    """Yield a warning for each key of a configuration that its schema does not mention. Sensors get such keys, too."""
    for place, known in config_schema.unknown(source.values, source.schema or {}):
        meant = difflib.get_close_matches(str(place[-1]), known, n=1)
        remedy = f"did you mean {meant[0]}?" if meant else "correct it, or add it there"
        yield source.error(f"{dotted(place)} is not in the pack's {config_schema.FILE}; {remedy}", place)


def fingerprint(source: Source, templates: Templates) -> str:
    """Return a digest of the datastore entries that a configuration uses. Secrets stay encrypted."""
    used: dict[str, str | None] = {}
    noting = templates.noting(used)
    for text in source.templates():
        with suppress(MissingKey, NotRendered, SecretNotRead, SecretError, DatastoreError):
            noting.render(text)
    return hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Lacking:
    """A key that the datastore lacks.

    :param is_secret: whether its value must be encrypted.
    """

    key: MissingKey
    is_secret: bool


@dataclass(slots=True)
class _Rendering:
    """The rendering of one configuration."""

    source: Source
    templates: Templates
    secret_keys: frozenset[str]
    secrets: set[str] = field(default_factory=set)
    """Secret texts found so far."""
    secret_places: set[Place] = field(default_factory=set)
    missing: dict[Place, _Lacking] = field(default_factory=dict)
    unread: set[Place] = field(default_factory=set)
    """Places of secrets that `secret()` names and that are not read in this process. Their values are null."""

    matching: config_schema.Matching = ()

    def config(self) -> Config:
        whole = self.source.schema or {}
        own = self.source.values
        with self._blaming_the_schema():
            self.matching = self.templates.checker.matching(whole, own)
        values = self._rendered(own, whole, ())
        if self.source.schema is not None:
            if self.source.is_written:
                # Without a file nothing is checked, as in StackStorm.
                self._check(values)
            values = config_schema.with_defaults(values, whole, (), self._as_written, self.matching)
        warnings = tuple(
            f"{self.source.error(f'{dotted(place)}: {_no_key(missing)}; until then it is null', place)}"
            for place, missing in self.missing.items()
        )
        absence = () if self.source.absence is None else (str(self.source.absence),)
        return Config(values=values, secrets=lines(self.secrets), warnings=absence + warnings)

    def _as_written(self, value: Any, item: Item, place: Place) -> Any:
        """Return a default. Expressions in it are not rendered."""
        return self._rendered(value, item, place, is_default=True)

    def _rendered(
        self, value: Any, item: Item, place: Place, inherited: bool = False, *, is_default: bool = False
    ) -> Any:
        """Return a value with its expressions rendered, and note the secrets in it.

        :param inherited: whether an enclosing value is secret.
        :param is_default: whether the value is a schema's default, which is not rendered.
        """
        is_secret = inherited or item.get("secret") is True or bool(place and place[-1] in self.secret_keys)
        if isinstance(value, dict):
            return {
                key: self._rendered(
                    part,
                    config_schema.property_of(item, key, self.matching),
                    (*place, key),
                    is_secret,
                    is_default=is_default,
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
            self.secrets |= set(map(str, leaves(value)))
        return value

    def _render(self, text: str, item: Item, place: Place, is_secret: bool) -> Rendered | None:
        """Render one text; None when the datastore lacks a key, or a secret is not read.

        Raises ContentError and SecretUnavailable.
        """
        try:
            return self.templates.render(text, secret=item.get("secret") is True)
        except MissingKey as exception:
            self.missing[place] = _Lacking(exception, item.get("secret") is True or DECRYPT in text)
            return None
        except SecretNotRead:
            self.unread.add(place)
            return None
        except DatastoreUnavailable:
            raise
        except SecretUnavailable as exception:
            problem = masked(str(exception), forms(self.secrets))
            raise SecretUnavailable(str(self.source.error(f"{dotted(place)}: {problem}", place))) from None
        except (NotRendered, SecretError, DatastoreError) as exception:
            secrets = exception.secrets if isinstance(exception, NotRendered) else frozenset()
            shown = MASK if is_secret and not text.lstrip().startswith("{") else text
            reason = objection.bounded(masked(str(exception), forms(secrets | self.secrets)))
            raise self.source.error(
                f"{dotted(place)}: {shown} cannot be rendered: {reason}; correct it, or its source", place
            ) from None

    @contextmanager
    def _blaming_the_schema(self) -> Iterator[None]:
        """Raise ContentError when a worker process cannot apply the schema."""
        try:
            yield
        except WorkFailed as failure:
            raise self.source.error(
                f"the configuration cannot be checked against the pack's {config_schema.FILE}: {failure}; simplify "
                "the schema",
                (),
            ) from failure

    def _check(self, values: dict[str, Any]) -> None:
        assert self.source.schema is not None
        with self._blaming_the_schema():
            found = self.templates.checker.violation(values, self.source.schema)
        if found is None:
            return
        place, message = tuple(found[0]), found[1]
        if any(where[: len(place)] == place for where in self.unread):
            # The container checks this again, with the secret.
            return
        if place in self.secret_places:
            message = message.replace(repr(_at(values, place)), MASK)
        message = masked(message, forms(self.secrets))
        lacking = next((missing for where, missing in self.missing.items() if where[: len(place)] == place), None)
        where = f"{dotted(place)}: " if place else ""
        remedy = f"; set it as the pack's {config_schema.FILE} says" if lacking is None else f": {_no_key(lacking)}"
        raise self.source.error(f"{where}{message}{remedy}, then run st2ctl reload", place)


def _at(values: Any, place: Place) -> Any:
    for part in place:
        values = values[part]
    return values


def _no_key(lacking: _Lacking) -> str:
    options, name = "", lacking.key.name
    if lacking.key.scope == USER_SCOPE:
        user, _, name = name.partition(":")
        options = f"--scope user --user {user} "
    if lacking.is_secret:
        options += "--encrypt "
    return f"{lacking.key}; set it with: st2sensor key set {options}{name} VALUE"


def _typed(text: str, item: Item) -> Any:
    """Return a rendered text as a value of the type in its schema, if it can be read as one."""
    wanted = {kind for name in config_schema.types_of(item) for kind in TYPES.get(name, ())}
    if not wanted or "string" in config_schema.types_of(item):
        return text
    # Datastore values may have come from str(True).
    text_of_json = text.lower() if text in ("True", "False") else text
    with suppress(ValueError, RecursionError):
        value = json.loads(text_of_json)
        if type(value) in wanted:
            return value
    return text
