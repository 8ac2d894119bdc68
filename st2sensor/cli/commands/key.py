"""`st2sensor key`: looks at and changes the datastore, in the words of StackStorm's `st2 key`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from st2sensor.cli.configuration import configured
from st2sensor.cli.events.publish import publish
from st2sensor.cli.text import units
from st2sensor.cli.text.console import console
from st2sensor.cli.text.printable import printable
from st2sensor.datastore.change_triggers import triggers_of
from st2sensor.datastore.keyring import Keyring
from st2sensor.datastore.operator_keys import OperatorKeys
from st2sensor.dispatch.event import Event
from st2sensor.errors import DatastoreError, TransportError
from st2sensor.masking import MASK
from st2sensor.models import USER_SCOPE, Change, KeyValue
from st2sensor.packs.metadata import validated
from st2sensor.portable import isotime, rpc
from st2sensor.portable.keyspace import SCOPES
from st2sensor.settings import Settings
from st2sensor.storage import open_storage


def list_(
    config_files: Sequence[str], *, prefix: str, scope: str, limit: int | None, decrypt: bool, json_output: bool
) -> None:
    settings = configured(config_files)
    with _keys(settings) as keys, _said():
        found = [entry for stored in SCOPES[scope] for entry in keys.list(stored, prefix, limit)]
        shown = [_shown(keys, entry, decrypt) for entry in found]
    if json_output:
        click.echo(json.dumps(shown))
        return
    table = Table("name", "value", "secret", "scope", "expires", box=None, pad_edge=False)
    for item in shown:
        table.add_row(
            printable(item["name"]),
            printable(item["value"]),
            "yes" if item["secret"] else "",
            item["scope"],
            item["expire_timestamp"],
        )
    out = console()
    if shown:
        out.print(table)
    out.print(units.count(len(shown), "key"))


def get(
    config_files: Sequence[str], *, name: str, scope: str, user: str | None, decrypt: bool, json_output: bool
) -> None:
    settings = configured(config_files)
    with _keys(settings) as keys, _said():
        shown = _shown(keys, keys.get(*_place(settings, name, scope, user)), decrypt)
    if json_output:
        click.echo(json.dumps(shown))
        return
    table = Table("property", "value", box=None, pad_edge=False)
    for name_of, item in shown.items():
        table.add_row(name_of, printable(str(item)))
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
) -> None:
    settings = configured(config_files)
    stored_scope, stored = _place(settings, name, scope, user)
    with _keys(settings) as keys, _said():
        change = keys.put(keys.entry(stored_scope, stored, value, ttl=ttl, encrypt=encrypt, is_ciphertext=False))
    _announce(settings, [change])
    click.echo(f"{stored} is stored")


def delete(config_files: Sequence[str], *, name: str, scope: str, user: str | None) -> None:
    settings = configured(config_files)
    stored_scope, stored = _place(settings, name, scope, user)
    with _keys(settings) as keys, _said():
        change = keys.delete(stored_scope, stored)
    _announce(settings, [change])
    click.echo(f"{stored} is deleted")


def load(config_files: Sequence[str], *, file: Path, convert: bool) -> None:
    settings = configured(config_files)
    items = [_item(item, convert) for item in validated(file, "keys.json").data or []]
    with _keys(settings) as keys, _said():
        entries = [_entry(settings, keys, item) for item in items]
        living = [entry for entry in entries if not _is_over(entry)]
        changes = [keys.put(entry) for entry in living]
    _announce(settings, changes)
    if len(living) < len(entries):
        click.echo(f"{units.count(len(entries) - len(living), 'key')} left out: expired", err=True)
    click.echo(f"{units.count(len(changes), 'key')} {'is' if len(changes) == 1 else 'are'} stored")


def reencrypt(config_files: Sequence[str]) -> int:
    settings = configured(config_files)
    done = current = 0
    failed = False
    with _keys(settings) as keys:
        for entry, outcome in keys.reencrypt():
            if isinstance(outcome, DatastoreError):
                click.echo(f"{printable(entry.name)} stays: {printable(str(outcome))}", err=True)
                failed = True
            else:
                done, current = done + outcome, current + (not outcome)
    click.echo(f"{done} encrypted anew, {current} were current")
    return 1 if failed else 0


@contextmanager
def _keys(settings: Settings) -> Iterator[OperatorKeys]:
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        yield OperatorKeys(storage, Keyring(settings.key_values))


@contextmanager
def _said() -> Iterator[None]:
    """What cannot be stored is the user's mistake, and said in a line."""
    try:
        yield
    except (TypeError, ValueError) as exception:
        raise click.ClickException(str(exception)) from exception


def _place(settings: Settings, name: str, scope: str, user: str | None) -> tuple[str, str]:
    """The scope and the name that a key is stored by: a user's begins with the user."""
    (stored,) = SCOPES[scope.removeprefix("st2kv.")]
    return stored, f"{user or settings.system_user}:{name}" if stored == USER_SCOPE else name


def _shown(keys: OperatorKeys, entry: KeyValue, decrypt: bool) -> dict[str, Any]:
    expires = entry.expire_timestamp
    shown = keys.decrypted(entry) if decrypt else replace(entry, value=MASK) if entry.secret else entry
    return {
        "name": shown.name,
        "value": shown.value,
        "secret": shown.secret,
        "scope": shown.scope,
        "expire_timestamp": None if expires is None else expires.isoformat(timespec="milliseconds"),
    }


def _item(item: Mapping[str, Any], convert: bool) -> Mapping[str, Any]:
    """An item whose value is text."""
    if isinstance(item["value"], str):
        return item
    if not convert:
        raise click.ClickException(
            f"the value of {item['name']} is no text: quote it, or store it as JSON by --convert"
        )
    return {**item, "value": json.dumps(item["value"])}


def _entry(settings: Settings, keys: OperatorKeys, item: Mapping[str, Any]) -> KeyValue:
    """What an item of a file asks to be stored. Raises ValueError, TypeError, DatastoreError."""
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
        raise ValueError(f"{name} has both ttl and expire_timestamp; leave one away")
    return replace(entry, expire_timestamp=_moment(name, until))


def _moment(name: str, text: str) -> datetime:
    """A time, which counts as UTC where it has no zone. Raises ValueError."""
    try:
        return isotime.parse(text)
    except ValueError as exception:
        raise ValueError(f"expire_timestamp of {name}: {exception}") from exception


def _is_over(entry: KeyValue) -> bool:
    return entry.expire_timestamp is not None and entry.expire_timestamp <= datetime.now(UTC)


def _announce(settings: Settings, changes: Sequence[Change]) -> None:
    """Emit what a change is announced by. What is stored is stored: a broker that is away is no failure."""
    triggers = [trigger for change in changes for trigger in triggers_of(change)]
    if not settings.datastore.emit_triggers or not triggers:
        return
    try:
        publish(settings, [Event(trigger=name, payload=rpc.body(payload)) for name, payload in triggers])
    except TransportError as exception:
        click.echo(f"stored, but no core.st2.key_value_pair trigger was emitted: {exception}", err=True)
