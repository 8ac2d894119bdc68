"""`st2sensor demo`: register the packs, run a container, and show each trigger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.text import Text

from st2sensor.cli import registration
from st2sensor.cli.configuration import configured
from st2sensor.cli.daemon import child_process
from st2sensor.cli.events import follow
from st2sensor.cli.events.instance import instance_in, not_shown
from st2sensor.datastore.change_triggers import CREATE, DELETE, UPDATE, VALUE_CHANGE
from st2sensor.storage import open_storage
from st2sensor.transport.base import Message

CHANGES = (CREATE, UPDATE, VALUE_CHANGE, DELETE)
"""Triggers about changes of the datastore, which would crowd out the others."""

PACK = """\
name: demo
description: Made by the demonstration; watches one file.
version: 1.0.0
"""


def demo(config_files: Sequence[str]) -> int:
    """Show triggers until SIGINT or SIGTERM; return the container's exit code."""
    settings = configured(config_files)
    console = Console(highlight=False)
    state_dir = settings.container.state_dir
    watched = _write_pack(state_dir)
    # A pack that fails is reported, and does not prevent the others from running.
    registration.register(settings)
    log = state_dir / "container.log"
    with (
        closing(follow.subscribe(settings.messaging)) as subscription,
        closing(open_storage(settings.database)) as storage,
    ):

        def show(message: Message) -> None:
            instance = instance_in(message, storage)
            if instance is None:
                console.print(Text(not_shown(message)), soft_wrap=True)
            elif instance.trigger_type not in CHANGES:
                console.print(follow.line(instance), soft_wrap=True)

        with log.open("ab") as stream:
            container = child_process.start(config_files, stream)
        with child_process.stopping(container) as code:
            intro = f"\nThe container is running; its log is {log}. Triggers appear below; Ctrl-C stops everything."
            console.print(intro, soft_wrap=True)
            console.print(f"[bold]Try, in another terminal:[/]  echo hello >> {watched}\n", soft_wrap=True)
            follow.follow(subscription, show, lambda: container.poll() is not None)
    ended = code()
    if ended:
        console.print(f"The container ended with exit code {ended}; see {log}")
    else:
        console.print("Everything has stopped.")
    return ended


def _write_pack(state_dir: Path) -> Path:
    """Create a pack with one rule, which makes the bundled `linux` pack watch a file. Return that file."""
    watched = state_dir / "demo.log"
    rules = state_dir / "packs" / "demo" / "rules"
    rules.mkdir(parents=True, exist_ok=True)
    watched.touch()
    (rules.parent / "pack.yaml").write_text(PACK)
    rule = {
        "name": "watch_demo_log",
        "trigger": {"type": "linux.file_watch.line", "parameters": {"file_path": str(watched)}},
    }
    (rules / "watch_demo_log.yaml").write_text(json.dumps(rule, indent=2) + "\n")
    return watched
