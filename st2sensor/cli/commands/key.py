"""`st2sensor key`: show and change the datastore. Names and options are those of StackStorm's `st2 key`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from st2sensor.cli.configuration import configured
from st2sensor.cli.events.publishing import publish
from st2sensor.cli.inspection import sensors
from st2sensor.cli.text import units
from st2sensor.cli.text.console import console
from st2sensor.cli.text.outcome import print_outcome
from st2sensor.cli.text.printable import printable
from st2sensor.cli.text.suggestions import did_you_mean
from st2sensor.cli.text.tables import print_table
from st2sensor.datastore.change_triggers import triggers_of
from st2sensor.datastore.keyring import Keyring
from st2sensor.datastore.operator_keys import OperatorKeys
from st2sensor.dispatch.event import Event
from st2sensor.errors import DatastoreError, KeyNotFound, TransportError, ValueRefused
from st2sensor.masking import MASK
from st2sensor.models import USER_SCOPE, Change, KeyValue
from st2sensor.packs.metadata import validated
from st2sensor.portable import isotime, rpc
from st2sensor.portable.keyspace import NAMESPACE, SCOPES, SEPARATOR
from st2sensor.settings import Settings
from st2sensor.storage import open_storage

COMPARED = 10_000
"""Maximum number of keys that are searched for a name similar to that of a missing key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A key as it is shown.

    :param value: the value, masked if it is secret and decryption was not requested.
    :param expire_timestamp: ISO 8601 text.
    """

    name: str
    value: str
    secret: bool
    scope: str
    expire_timestamp: str | None


def list_(
    config_files: Sequence[str], *, prefix: str, scope: str, limit: int | None, decrypt: bool, json_output: bool
) -> None:
    settings = configured(config_files)
    with _keys(settings) as keys, _mistakes_reported():
        found = [entry for stored in SCOPES[scope] for entry in keys.list(stored, prefix, limit)]
        shown = [_shown(keys, entry, decrypt) for entry in found]
    if json_output:
        click.echo(json.dumps([asdict(item) for item in shown]))
        return
    table = Table("name", "value", "secret", "scope", "expires", box=None, pad_edge=False)
    for item in shown:
        table.add_row(
            printable(item.name),
            printable(item.value),
            "yes" if item.secret else "",
            item.scope,
            item.expire_timestamp,
        )
    out = console()
    if shown:
        print_table(out, table, names=("name",))
    out.print(units.count(len(shown), "key"))


def get(
    config_files: Sequence[str], *, name: str, scope: str, user: str | None, decrypt: bool, json_output: bool
) -> None:
    settings = configured(config_files)
    stored_scope, stored = _place(settings, name, scope, user)
    with _keys(settings) as keys, _mistakes_reported(), _suggested(keys, stored_scope, stored):
        shown = _shown(keys, keys.get(stored_scope, stored), decrypt)
    if json_output:
        click.echo(json.dumps(asdict(shown)))
        return
    table = Table("property", "value", box=None, pad_edge=False)
    for field, item in asdict(shown).items():
        table.add_row(field, printable(str(item)))
    console().print(table)


def set_(
    config_files: Sequence[str],
    *,
    name: str,
    value: str,
    scope: str,
    user: str | None,
    ttl: float | None,
    encrypt: bool,
    json_output: bool,
) -> None:
    settings = configured(config_files)
    stored_scope, stored = _place(settings, name, scope, user)
    with _keys(settings) as keys, _mistakes_reported():
        change = keys.put(keys.entry(stored_scope, stored, value, ttl=ttl, encrypt=encrypt, is_ciphertext=False))
    _announce(settings, [change])
    print_outcome(json_output, f"{stored} is stored", name=stored, scope=stored_scope)


def delete(config_files: Sequence[str], *, name: str, scope: str, user: str | None, json_output: bool) -> None:
    settings = configured(config_files)
    stored_scope, stored = _place(settings, name, scope, user)
    with _keys(settings) as keys, _mistakes_reported(), _suggested(keys, stored_scope, stored):
        change = keys.delete(stored_scope, stored)
    _announce(settings, [change])
    print_outcome(json_output, f"{stored} is deleted", name=stored, scope=stored_scope)


def move(config_files: Sequence[str], *, old: str, new: str, json_output: bool) -> None:
    settings = configured(config_files)
    for ref in (old, new):
        if not NAMESPACE.fullmatch(f"{ref}{SEPARATOR}"):
            raise ValueRefused(f"{ref} is not a sensor's reference; write PACK.CLASS or PACK.CLASS@NAME")
    if old == new:
        raise ValueRefused(f"{old} is both the old and the new sensor: name two different sensors")
    running = sensors.still_running(settings, (old, new))
    if running is not None:
        raise ValueRefused(f"{running} is running, and may use its keys; st2sensor disable {running} stops it")
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        if any(batch.sensor == old for batch in storage.batches()):
            raise ValueRefused(
                f"{old} has an unfinished dispatch_and_set; start the sensor once, so that it is carried out"
            )
        with _mistakes_reported():
            changes = OperatorKeys(storage, Keyring(settings.key_values)).move(old, new)
    _announce(settings, changes)
    count = sum(change.new is None for change in changes)
    line = f"{units.count(count, 'key')} of {old} {'is' if count == 1 else 'are'} now {new}'s"
    print_outcome(json_output, line, old=old, new=new, moved=count)


def load(config_files: Sequence[str], *, file: Path, convert: bool, json_output: bool) -> None:
    settings = configured(config_files)
    items = [_item(item, convert) for item in validated(file, "keys.json").data or []]
    with _keys(settings) as keys, _mistakes_reported():
        entries = [_entry(settings, keys, item) for item in items]
        living = [entry for entry in entries if not _is_over(entry)]
        changes = [keys.put(entry) for entry in living]
    _announce(settings, changes)
    expired = len(entries) - len(living)
    if expired:
        click.echo(f"{units.count(expired, 'key')} skipped: expired", err=True)
    line = f"{units.count(len(changes), 'key')} {'is' if len(changes) == 1 else 'are'} stored"
    print_outcome(json_output, line, stored=len(changes), expired=expired)


def reencrypt(config_files: Sequence[str], *, json_output: bool) -> int:
    settings = configured(config_files)
    done = current = failed = 0
    with _keys(settings) as keys:
        for entry, outcome in keys.reencrypt():
            if isinstance(outcome, DatastoreError):
                click.echo(f"{printable(entry.name)} is not encrypted again: {printable(str(outcome))}", err=True)
                failed += 1
            else:
                done, current = done + outcome, current + (not outcome)
    line = f"{done} encrypted again, {current} already current"
    print_outcome(json_output, line, encrypted=done, current=current, failed=failed)
    return 1 if failed else 0


@contextmanager
def _keys(settings: Settings) -> Iterator[OperatorKeys]:
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        yield OperatorKeys(storage, Keyring(settings.key_values))


@contextmanager
def _mistakes_reported() -> Iterator[None]:
    """Raise ValueRefused for a name or a value that cannot be stored."""
    try:
        yield
    except (TypeError, ValueError) as exception:
        raise ValueRefused(str(exception)) from exception


@contextmanager
def _suggested(keys: OperatorKeys, scope: str, name: str) -> Iterator[None]:
    """If a key is missing, suggest what the user may have meant. Raises KeyNotFound."""
    try:
        yield
    except KeyNotFound as error:
        known = (entry.name for entry in keys.list(scope, limit=COMPARED))
        raise KeyNotFound(f"{error}{did_you_mean(name, known)}") from error


def _place(settings: Settings, name: str, scope: str, user: str | None) -> tuple[str, str]:
    """Return the scope and name that a key is stored under. A user's key starts with the name of the user."""
    (stored,) = SCOPES[scope.removeprefix("st2kv.")]
    return stored, f"{user or settings.system_user}:{name}" if stored == USER_SCOPE else name


def _shown(keys: OperatorKeys, entry: KeyValue, decrypt: bool) -> Shown:
    expires = entry.expire_timestamp
    shown = keys.decrypted(entry) if decrypt else replace(entry, value=MASK) if entry.secret else entry
    return Shown(
        name=shown.name,
        value=shown.value,
        secret=shown.secret,
        scope=shown.scope,
        expire_timestamp=None if expires is None else isotime.format(expires, offset=False),
    )


def _item(item: Mapping[str, Any], convert: bool) -> Mapping[str, Any]:
    """Return an item of a file with its value as text. Raises ValueRefused."""
    if isinstance(item["value"], str):
        return item
    if not convert:
        raise ValueRefused(f"the value of {item['name']} is not text: quote it, or add --convert to store it as JSON")
    return {**item, "value": json.dumps(item["value"])}


def _entry(settings: Settings, keys: OperatorKeys, item: Mapping[str, Any]) -> KeyValue:
    """Return the entry that an item of a file describes. Raises ValueError, TypeError, DatastoreError."""
    name, scope, user = item["name"], item.get("scope", "system"), item.get("user")
    if item.get("secret", False) and item["value"] == MASK:
        raise ValueError(f"the value of {name} is masked: list the keys with --decrypt")
    is_listed = scope == USER_SCOPE and user is None and ":" in name
    stored_scope, stored = (scope, name) if is_listed else _place(settings, name, scope, user)
    entry = keys.entry(
        stored_scope,
        stored,
        item["value"],
        ttl=item.get("ttl"),
        encrypt=item.get("secret", False) and not item.get("encrypted", False),
        is_ciphertext=item.get("encrypted", False),
    )
    until = item.get("expire_timestamp")
    if until is None:
        return entry
    if entry.expire_timestamp is not None:
        raise ValueError(f"{name} has both ttl and expire_timestamp; omit one of them")
    return replace(entry, expire_timestamp=_moment(name, until))


def _moment(name: str, text: str) -> datetime:
    """Parse a time; a time without a zone is taken as UTC. Raises ValueError."""
    try:
        return isotime.parse(text)
    except ValueError as exception:
        raise ValueError(f"expire_timestamp of {name}: {exception}") from exception


def _is_over(entry: KeyValue) -> bool:
    return entry.expire_timestamp is not None and entry.expire_timestamp <= datetime.now(UTC)


def _announce(settings: Settings, changes: Sequence[Change]) -> None:
    """Emit the triggers that announce changes.

    The changes are already stored, so an unreachable broker causes only a warning.
    """
    triggers = [trigger for change in changes for trigger in triggers_of(change)]
    if not settings.datastore.emit_triggers or not triggers:
        return
    try:
        publish(settings, [Event(trigger=name, payload=rpc.body(payload)) for name, payload in triggers])
    except TransportError as exception:
        click.echo(f"stored, but the core.st2.key_value_pair trigger was not emitted: {exception}", err=True)
