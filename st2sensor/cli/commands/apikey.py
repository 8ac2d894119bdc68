"""`st2sensor apikey`: create, list and revoke the keys that webhook senders use."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import click
from rich.table import Table

from st2sensor.cli.configuration import configured
from st2sensor.cli.text import units
from st2sensor.cli.text.console import console
from st2sensor.cli.text.outcome import print_outcome
from st2sensor.cli.text.printable import in_line
from st2sensor.cli.text.suggestions import did_you_mean
from st2sensor.core_pack.webhooks import api_keys
from st2sensor.core_pack.webhooks.api_keys import ApiKey
from st2sensor.datastore.keyring import Keyring
from st2sensor.datastore.operator_keys import OperatorKeys
from st2sensor.errors import KeyNotFound
from st2sensor.models import SYSTEM_SCOPE
from st2sensor.portable import isotime
from st2sensor.settings import Settings
from st2sensor.storage import open_storage

STORED = f"core.WebhookSensor:{api_keys.PREFIX}"
"""Prefix of the datastore keys that hold API keys."""


def create(config_files: Sequence[str], *, note: str, json_output: bool) -> None:
    settings = configured(config_files)
    made, text = api_keys.made(note, _now())
    with _keys(settings) as keys:
        is_first = not keys.list(SYSTEM_SCOPE, STORED, limit=1)
        _put(keys, made)
        _put_mark(keys)
    if is_first:
        # After this wait every request needs a key, because the sensor checks for a first key at least this often.
        time.sleep(api_keys.MIN_REFRESH_INTERVAL)
    print_outcome(json_output, text, id=made.id, key=text)


def list_(config_files: Sequence[str], *, json_output: bool) -> None:
    settings = configured(config_files)
    with _keys(settings) as keys:
        found = [
            _known(entry.name, entry.value)
            for entry in keys.list(SYSTEM_SCOPE, STORED)
            if entry.name != STORED + api_keys.MARK
        ]
    if json_output:
        rows = [{"id": key.id, "note": key.note, "created": key.created, "revoked": key.revoked} for key in found]
        click.echo(json.dumps(rows))
        return
    table = Table("id", "note", "created", "revoked", box=None, pad_edge=False)
    for key in found:
        table.add_row(*map(in_line, (key.id, key.note, key.created, key.revoked or "")))
    out = console()
    if found:
        out.print(table)
    out.print(units.count(len(found), "API key"))


def revoke(config_files: Sequence[str], *, identifier: str, json_output: bool) -> None:
    settings = configured(config_files)
    identifier = identifier.partition(".")[0]
    with _keys(settings) as keys:
        known = {entry.name.removeprefix(STORED): entry for entry in keys.list(SYSTEM_SCOPE, STORED)}
        known.pop(api_keys.MARK, None)
        entry = known.get(identifier)
        if entry is None:
            raise KeyNotFound(
                f"there is no API key {identifier}; st2sensor apikey list shows them{did_you_mean(identifier, known)}"
            )
        _put_mark(keys)
        _put(keys, _known(entry.name, entry.value).ended(_now()))
    print_outcome(json_output, f"{identifier} is revoked", id=identifier)


def _put(keys: OperatorKeys, key: ApiKey) -> None:
    entry = keys.entry(SYSTEM_SCOPE, f"{STORED}{key.id}", key.to_text(), ttl=None, encrypt=False, is_ciphertext=False)
    keys.put(entry)


def _put_mark(keys: OperatorKeys) -> None:
    """Record that a key was made, so that requests need a key even after the last one was deleted."""
    keys.put(keys.entry(SYSTEM_SCOPE, STORED + api_keys.MARK, "{}", ttl=None, encrypt=False, is_ciphertext=False))


def _known(name: str, text: str) -> ApiKey:
    return api_keys.readable(name.removeprefix(STORED), text)


def _now() -> str:
    return isotime.format(datetime.now(UTC), offset=False)


@contextmanager
def _keys(settings: Settings) -> Iterator[OperatorKeys]:
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        yield OperatorKeys(storage, Keyring(settings.key_values))
