"""Checks a pack's configuration against its schema. Without a datastore, the values of expressions are unknown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from st2sensor.errors import ContentError, SecretError, St2SensorError, WorkFailed
from st2sensor.masking import MASK
from st2sensor.models import Pack
from st2sensor.packs.configuration import pack_config
from st2sensor.packs.configuration import schema as config_schema
from st2sensor.packs.configuration import source as pack_source
from st2sensor.packs.configuration.pack_config import SECRET_KEYS
from st2sensor.packs.configuration.schema import Item, Matching, Place
from st2sensor.packs.configuration.source import Source, texts
from st2sensor.packs.configuration.templates import MissingKey, NotRendered, SecretNotRead, Templates, is_template
from st2sensor.packs.validation.finding import Finding, Severity, found
from st2sensor.schemas import dialect, objection
from st2sensor.secrets.sources import SecretSources
from st2sensor.system.regular_file import is_there
from st2sensor.workers.pool import Pool

DATASTORE = "st2kv."
"""Text that occurs in every expression that uses the datastore."""

CERTAIN = frozenset({"required", "additionalProperties"})
"""Keywords whose violations do not depend on the values of expressions."""


def check(
    pack: Pack, file: Path | None, workers: Pool, secrets: SecretSources, *, is_used: bool = True
) -> Iterator[Finding]:
    """Check the schema, a configuration, and the pack's example.

    :param is_used: whether a sensor runs with the configuration as it is, rather than with an instance's over it.
    :param file: the place of the configuration, whether or not it exists; None if it is not known.
    :param workers: a pool with the functions that templates need.
    :param secrets: checks calls of `secret`; none is read.
    """
    try:
        whole = config_schema.load(pack.path)
    except ContentError as error:
        yield found(pack.ref, error, "config-schema")
        return
    for text in texts(list(config_schema.defaults(whole or {}))):
        if DATASTORE in text and is_template(text):
            what = f"the default {text!r} is not rendered: expressions are rendered only in a configuration"
            misplaced = ContentError(f"{what}; move it there", file=str(pack.path / config_schema.FILE))
            yield found(pack.ref, misplaced, "config-default", Severity.WARNING)
    example = pack.path / f"{pack.ref}.yaml.example"
    if not is_used:
        # It may lack values that every instance sets.
        pass
    elif file is not None and is_there(file):
        yield from (found(pack.ref, problem, "config") for problem in _problems(file, pack.path, workers, secrets))
        yield from _unknown_keys(pack, file)
    elif file is not None:
        absence = pack_source.source_of(file, pack.path).absence
        if absence is not None:
            yield found(pack.ref, absence, "no-config", Severity.WARNING)
    if example.is_file():
        for problem in _problems(example, pack.path, workers, SecretSources(None), has_blanks=True):
            yield found(pack.ref, problem, "config-example", Severity.WARNING)
        yield from _unknown_keys(pack, example)


def _unknown_keys(pack: Pack, file: Path) -> Iterator[Finding]:
    with suppress(ContentError):
        # Another check reports a file that cannot be read.
        for warning in pack_config.unknown_keys(pack_source.source_of(file, pack.path)):
            yield found(pack.ref, warning, "config-key", Severity.WARNING)


def _problems(
    file: Path, folder: Path, workers: Pool, secrets: SecretSources, *, has_blanks: bool = False
) -> Iterator[ContentError]:
    """:param has_blanks: whether null values are to be filled in."""
    try:
        source = pack_source.source_of(file, folder)
    except ContentError as error:
        yield error
        return
    yield from problems_of(source, workers, secrets, has_blanks=has_blanks)


def problems_of(
    source: Source, workers: Pool, secrets: SecretSources, *, has_blanks: bool = False
) -> Iterator[ContentError]:
    """Yield every problem in a configuration, for any content of the datastore.

    :param has_blanks: whether null values are to be filled in.
    """
    # Stands for a datastore without keys.
    unknown = Templates(
        lambda _scope, _name: None, lambda _name, ciphertext: ciphertext, "", workers, partial(_checked, secrets)
    )
    yield from _bad_expressions(source, source.values, (), unknown)
    if source.schema is None:
        return
    try:
        matching = unknown.checker.matching(source.schema, source.values)
        violations = unknown.checker.violations(source.values, source.schema)
    except WorkFailed as failure:
        yield source.error(f"it cannot be checked against {config_schema.FILE}: {failure}; simplify the schema", ())
        return
    for violation in violations:
        value = _at(source.values, violation.place)
        is_known = violation.keyword in CERTAIN or not any(map(is_template, texts(value)))
        if is_known and not (has_blanks and value is None):
            yield source.error(_message(violation, source.schema, value, matching), violation.place)


def _checked(secrets: SecretSources, arguments: Sequence[object]) -> str:
    """Raise SecretError if a call of `secret` is wrong, and else SecretNotRead."""
    secrets.check(arguments)
    raise SecretNotRead("secrets are not read here")


def _message(violation: dialect.Violation, whole: Item, value: Any, matching: Matching) -> str:
    message = violation.message
    if isinstance(value, dict | list):
        # The value may hold secrets.
        message = message.replace(repr(value), "it")
    elif value is not None and _is_secret(whole, violation.place, matching):
        message = message.replace(repr(value), MASK)
    where = ".".join(map(str, violation.place))
    return (
        f"{where}: {message}; set it as {config_schema.FILE} says" if where else f"{message}; see {config_schema.FILE}"
    )


def _is_secret(item: Item, place: Place, matching: Matching) -> bool:
    for part in place:
        if item.get("secret") is True or part in SECRET_KEYS:
            return True
        if isinstance(part, str):
            item = config_schema.property_of(item, part, matching)
        else:
            item = config_schema.item_of(item, part)
    return item.get("secret") is True


def _bad_expressions(source: Source, value: Any, place: Place, unknown: Templates) -> Iterator[ContentError]:
    """Yield an error for each expression that no datastore content can make valid."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _bad_expressions(source, part, (*place, key), unknown)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _bad_expressions(source, part, (*place, index), unknown)
    elif isinstance(value, str) and is_template(value):
        try:
            unknown.render(value)
        except (MissingKey, SecretNotRead):
            return
        except (NotRendered, SecretError) as problem:
            where = ".".join(map(str, place))
            reason = objection.bounded(str(problem))
            yield source.error(f"{where}: the expression cannot be rendered: {reason}; correct it", place)
        except St2SensorError:
            return


def _at(values: Any, place: Place) -> Any:
    for part in place:
        values = values[part]
    return values
