"""Run `st2sensor dev`: run a container with its own folder, and show what it does."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from st2sensor.cli.configuration import configured
from st2sensor.cli.daemon import child_process
from st2sensor.cli.development.content import Content, WantedTrigger
from st2sensor.cli.development.folder import Folder, opened
from st2sensor.cli.development.lines import Lines
from st2sensor.cli.development.log import Log
from st2sensor.cli.development.output import Output
from st2sensor.cli.development.saves import watching
from st2sensor.cli.development.screen import Screen
from st2sensor.cli.development.triggers import Triggers
from st2sensor.cli.events import follow
from st2sensor.cli.events.recording import recorder
from st2sensor.outbox.database.file import open_file
from st2sensor.storage import open_storage

LOG_END_TIMEOUT = 1.0
"""Seconds to wait for the end of the log. A process that escaped from its sensor may keep the log open forever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of the command line."""

    packs: Sequence[Path]
    sensors: Sequence[str]
    configs: Sequence[Path]
    triggers: Sequence[WantedTrigger]
    record: Path | None
    state_dir: Path | None
    fresh: bool
    virtualenvs: bool
    common_libs: bool
    json_output: bool


def run(options: Options) -> int:
    """Run the packs' sensors until SIGINT or SIGTERM; return the exit code."""
    _isolate()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    screen: Output = Lines() if options.json_output else Screen(Console(highlight=False, emoji=False))
    try:
        with opened(
            options.packs,
            options.state_dir,
            options.configs,
            options.sensors,
            fresh=options.fresh,
            common_libs=options.common_libs,
            virtualenvs=options.virtualenvs,
        ) as folder:
            return _run(options, folder, screen)
    except KeyboardInterrupt:
        screen.say("Stopped.")
        return 0


def _isolate() -> None:
    """Keep the environment from configuring the container, and Python from writing into the packs' folders."""
    for name in [name for name in os.environ if name.startswith("ST2_") and "__" in name]:
        del os.environ[name]
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def _run(options: Options, folder: Folder, screen: Output) -> int:
    settings = configured([str(folder.config_file)], show_warnings=False)
    with ExitStack() as stack:
        storage = stack.enter_context(closing(open_storage(settings.database)))
        storage.prepare()
        record = stack.enter_context(recorder(options.record))
        subscription = stack.enter_context(closing(follow.subscribe(settings.messaging)))
        _introduce(folder, screen)
        content = Content(folder, settings, storage, screen, triggers=options.triggers, virtualenvs=options.virtualenvs)
        # Watch before the start, so that no save is missed.
        stack.enter_context(watching(folder, content.saved, lambda name, problem: screen.show("error", name, problem)))
        content.start(options.sensors)
        log = Log(folder, screen)
        outbox = settings.container.state_dir / "outbox.db"
        # Create the outbox here: the container would create it in several steps, and this process might read it between
        # them.
        open_file(outbox, settings.outbox.durability).close()
        triggers = Triggers(storage, outbox, screen, record)
        container = child_process.start([str(folder.config_file)], subprocess.PIPE)
        assert container.stdout is not None
        reader = threading.Thread(target=log.follow, args=(container.stdout,), name="log", daemon=True)
        reader.start()

        def ended() -> bool:
            triggers.show_invalid()
            return container.poll() is not None

        with child_process.stopping(container) as code:
            follow.follow(subscription, triggers.show, ended)
            reader.join(LOG_END_TIMEOUT)
            triggers.show_invalid()
    return _end(code(), log, screen)


def _introduce(folder: Folder, screen: Output) -> None:
    packs = ", ".join(f"[bold]{ref}[/]" for ref in folder.packs)
    shared = escape(f"st2sensor --config-file {folder.home / 'st2.conf'}")
    screen.say(f"\nDeveloping {packs}: save a file, and its sensors restart; Ctrl-C stops everything.")
    screen.say(f"[dim]The datastore, from another terminal:  {shared} key list[/]\n")


def _end(code: int, log: Log, screen: Output) -> int:
    if code == 0:
        screen.say("\nEverything has stopped.")
        return 0
    screen.say(f"\n[bold red]The container ended with exit code {code}.[/] Its last lines:")
    for line in log.last:
        screen.say(f"  {escape(line)}")
    return code if code > 0 else 128 - code
