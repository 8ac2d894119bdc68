"""`st2sensor demo`: register some packs, run a container, and show each trigger."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from shutil import which
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from st2sensor.cli import registration
from st2sensor.cli.configuration import configured
from st2sensor.cli.daemon import child_process
from st2sensor.cli.development import demonstration
from st2sensor.cli.development.demonstration import below_home
from st2sensor.cli.events import follow
from st2sensor.cli.events.instance import Instance, instance_in, not_shown
from st2sensor.datastore.change_triggers import CREATE, DELETE, UPDATE, VALUE_CHANGE
from st2sensor.portable import isotime
from st2sensor.settings import Settings
from st2sensor.storage import open_storage
from st2sensor.transport.base import Message

CHANGES = (CREATE, UPDATE, VALUE_CHANGE, DELETE)
"""Triggers about changes of the datastore, which would crowd out the others."""

SPAWN, EXIT = "core.st2.sensor.process_spawn", "core.st2.sensor.process_exit"

URLS = "/api/v1/webhooks/"

EVENT, FAILED, RUNNING = "event", "failed", "running"
"""Kinds of lines: an event, a failure, and a start after a failure."""


def demo(config_files: Sequence[str], *, json_output: bool) -> int:
    """Show triggers until SIGINT or SIGTERM; return the container's exit code, or 0 if it has not been started."""
    # The checks of the packs' code run in other processes, which would outlive this one.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            own = not config_files
            if own:
                # The configuration of this host's container must not apply to the demonstration.
                for name in [name for name in os.environ if name.startswith("ST2_")]:
                    del os.environ[name]
                config_files = [str(stack.enter_context(demonstration.opened()))]
            return _run(config_files, own=own, json_output=json_output)
    except KeyboardInterrupt:
        _tell_end(0, "", json_output=json_output)
        return 0


def _run(config_files: Sequence[str], *, own: bool, json_output: bool) -> int:
    """:param own: whether the configuration is that of the demonstration."""
    settings = configured(config_files)
    # One line that is cut is easier to read than two wrapped lines.
    console = Console(highlight=False, markup=False, emoji=False)
    state_dir = settings.container.state_dir
    watched = state_dir / "demo.log"
    watched.parent.mkdir(parents=True, exist_ok=True)
    watched.touch()
    demonstration.write_rules(state_dir / "packs" / "demo", watched)
    if not json_output:
        console.print("Starting some sensors; this takes a few seconds.")
    # A pack that fails is reported, and does not prevent the others from running.
    registration.register(settings, quiet=True)
    log = state_dir / "container.log"
    with (
        closing(follow.subscribe(settings.messaging)) as subscription,
        closing(open_storage(settings.database)) as storage,
    ):
        chosen = Chosen()

        def show(message: Message) -> None:
            instance = instance_in(message, storage)
            if json_output:
                kind = None if instance is None else chosen.kind(instance)
                if instance is not None and kind is not None:
                    _print_json(kind, **_fields(kind, instance))
                return
            line = Text(not_shown(message)) if instance is None else chosen.line(instance)
            if line is not None:
                line.truncate(console.width, overflow="ellipsis")
                console.print(line, soft_wrap=True)

        with log.open("ab") as stream:
            container = child_process.start(config_files, stream)
        with child_process.stopping(container) as code:
            if json_output:
                _print_json("started", **_places(settings, watched, log, Path(config_files[0]), own=own))
            else:
                for line in _introduction(settings, watched, log, Path(config_files[0]), own=own):
                    console.print(line, soft_wrap=True)
            follow.follow(subscription, show, lambda: container.poll() is not None)
    ended = code()
    _tell_end(ended, f"The container ended with exit code {ended}; see {log}", json_output=json_output)
    return ended


def _tell_end(code: int, failure: str, *, json_output: bool) -> None:
    """:param failure: message that is printed if the exit code is not 0."""
    if json_output:
        _print_json("stopped", exit_code=code)
    else:
        click.echo(failure if code else "Everything has stopped.")


class Chosen:
    """Chooses the triggers that a person finds interesting."""

    def __init__(self) -> None:
        self._failed: set[object] = set()

    def kind(self, instance: Instance) -> str | None:
        """Return `event`, `failed` or `running`, or None for bookkeeping."""
        kind, payload = instance.trigger_type, instance.payload
        if kind in CHANGES:
            return None
        if kind not in (SPAWN, EXIT):
            return EVENT
        # Show starts only after failures. Exits that were asked for are not dispatched.
        sensor = payload.get("id")
        if kind == EXIT:
            self._failed.add(sensor)
            return FAILED
        return RUNNING if kind == SPAWN and sensor in self._failed else None

    def line(self, instance: Instance) -> Text | None:
        """Return an instance as a line, or None if it is bookkeeping."""
        kind, payload = self.kind(instance), instance.payload
        if kind == EVENT:
            # Long values come last: the line may be cut.
            payload = dict(sorted(payload.items(), key=lambda item: len(str(item[1]))))
            return follow.line(replace(instance, payload=payload))
        if kind == FAILED:
            return follow.at_now().append(f"{payload.get('id')} failed; it starts again", "red")
        return None if kind is None else follow.at_now().append(f"{payload.get('id')} runs again", "green")


def _print_json(kind: str, **fields: object) -> None:
    click.echo(json.dumps({"kind": kind, "time": isotime.format(datetime.now(UTC), offset=False), **fields}))


def _fields(kind: str, instance: Instance) -> dict[str, Any]:
    return asdict(instance) if kind == EVENT else {"time": instance.time, "sensor": instance.payload.get("id")}


def _places(settings: Settings, watched: Path, log: Path, config: Path, *, own: bool) -> dict[str, str | None]:
    """Return what a program needs in order to try the demonstration."""
    page = "http://{}:{}/".format(*settings.container.http) if settings.container.http else None
    webhook = _webhook(settings) if own else None
    return {"status_page": page, "webhook": webhook, "file": str(watched), "log": str(log), "config": str(config)}


def _webhook(settings: Settings) -> str:
    return f"http://{settings.webhooks.host}:{settings.webhooks.port}{URLS}{demonstration.URL}"


def _introduction(settings: Settings, watched: Path, log: Path, config: Path, *, own: bool) -> list[Text]:
    """Return the lines above the triggers, with commands to paste."""
    lines = [Text(), Text("These sensors watch this machine. Ctrl-C stops everything.", "bold"), Text()]
    if settings.container.http:
        host, port = settings.container.http
        lines.append(Text(f"  status page  http://{host}:{port}/"))
    lines.append(Text(f"  log          {below_home(log)}"))
    lines += [Text(), Text("Try, in another terminal:", "bold"), Text()]
    lines.append(Text(f"  echo hello >> {below_home(watched)}"))
    if own:
        curl = "  curl -d '{\"name\": \"you\"}' -H 'Content-Type: application/json' \\\n    "
        lines.append(Text(curl + _webhook(settings)))
        lines.append(Text("  python3 -m http.server 8123 --bind 127.0.0.1"))
    # make demo does not put the commands on the PATH.
    program = "st2sensor" if which("st2sensor") else below_home(Path(sys.executable).with_name("st2sensor"))
    lines.append(Text(f"  {program} \\\n    --config-file {below_home(config)} list"))
    return [*lines, Text()]
