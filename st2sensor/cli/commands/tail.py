"""`st2sensor tail`: show each trigger that passes through the exchange."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from st2sensor.cli.configuration import configured
from st2sensor.cli.events.follow import follow, line, subscribe
from st2sensor.cli.events.instance import Instance, instance_in, not_shown
from st2sensor.cli.events.recording import recorder
from st2sensor.cli.inspection.control_client import reached
from st2sensor.cli.inspection.references import unknown_names
from st2sensor.cli.inspection.reports import parsed
from st2sensor.cli.text.console import console
from st2sensor.errors import ContainerAway
from st2sensor.portable import isotime
from st2sensor.portable.payload import plain
from st2sensor.settings import Settings
from st2sensor.storage import open_storage
from st2sensor.transport.base import Message

Handle = Callable[[Instance], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A trigger that the container has accepted.

    :param at: seconds since the epoch.
    :param trigger: reference of the trigger type.
    :param body: JSON, as it goes to the broker.
    :param tagged: whether the payload uses tags for values that JSON cannot represent, such as times.
    """

    at: float
    trigger: str
    body: str
    tagged: bool
    message_id: str


def tail(config_files: Sequence[str], *, wanted: tuple[str, ...], json_output: bool, record: Path | None) -> int:
    """Show triggers until SIGINT or SIGTERM; return the exit code. Raises BrokerUnavailable, StorageError."""
    settings = configured(config_files)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    out = console()
    for strange in unknown_names(settings, "", wanted):
        click.echo(strange, err=True)
    with recorder(record, wanted) as note:

        def handle(instance: Instance) -> None:
            if wanted and instance.trigger_type not in wanted:
                return
            note(instance)
            if json_output:
                click.echo(json.dumps(asdict(instance)))
            else:
                out.print(line(instance), soft_wrap=True)

        try:
            if settings.messaging.serializer == "json" or not _follow_container(settings, handle):
                _follow_exchange(settings, handle)
        except KeyboardInterrupt:
            return 0
    return 0


def _follow_exchange(settings: Settings, handle: Handle) -> None:
    with (
        closing(open_storage(settings.database)) as storage,
        closing(subscribe(settings.messaging)) as subscription,
    ):

        def see(message: Message) -> None:
            instance = instance_in(message, storage)
            if instance is None:
                click.echo(not_shown(message), err=True)
            else:
                handle(instance)

        follow(subscription, see, lambda: False)


def _follow_container(settings: Settings, handle: Handle) -> bool:
    """Show the triggers that the container accepts, until it ends. Return False if no container is running."""
    try:
        with reached(settings.container.state_dir) as container:
            container.follow(["trigger"])
            for event in container.events():
                handle(_instance(parsed(Accepted, event)))
    except ContainerAway:
        return False
    return True


def _instance(event: Accepted) -> Instance:
    body = json.loads(event.body)
    return Instance(
        time=isotime.format(event.at, offset=False),
        trigger=body["trigger"],
        trigger_type=event.trigger,
        payload=plain(body["payload"]) if event.tagged else body["payload"],
        trace_context=body["trace_context"],
        message_id=event.message_id,
    )
