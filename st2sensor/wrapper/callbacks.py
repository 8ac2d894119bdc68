"""The container's notifications, turned into calls of the sensor's methods."""

from __future__ import annotations

import _thread
import inspect
import logging
from typing import Any, Callable

from st2sensor.sensor import Sensor
from st2sensor.wrapper import logs
from st2sensor.wrapper.connection import Connection

LOG = logging.getLogger("st2sensor.wrapper")

CALLBACKS = {
    "trigger.add": "add_trigger",
    "trigger.update": "update_trigger",
    "trigger.remove": "remove_trigger",
    "trigger.known": "triggers_known",
}
"""The sensor's method for each notification about triggers."""


class Callbacks:
    """Calls add_trigger() and the other methods about triggers, one at a time, in a thread of its own.

    :param connection: a session that makes no calls.
    """

    def __init__(self, sensor: Sensor, connection: Connection) -> None:
        self._connection = connection
        # Beyond StackStorm: a sensor that derives from StackStorm's own class has no triggers_known().
        self._methods = {name: getattr(sensor, name, None) for name in CALLBACKS.values()}
        if getattr(type(sensor), "triggers_known", None) is Sensor.triggers_known:
            # The inherited method does nothing, so the container does not need to know of its calls.
            self._methods["triggers_known"] = None

    def start(self) -> None:
        """From now on, listen to notifications that do not concern triggers."""
        self._connection.notify("listen", {})
        # Not with threading: some sensors join every thread that it lists.
        _thread.start_new_thread(self._listen, ())

    def subscribe(self) -> None:
        """Ask for notifications about triggers as well, now that setup() has returned."""
        self._connection.notify("subscribe", {})

    def _listen(self) -> None:
        for message in self._connection.notifications():
            if message.get("method") == "log.level":
                logs.set_level(message["params"]["level"])
                continue
            name = CALLBACKS.get(message.get("method", ""), "")
            method = self._methods.get(name)
            if method is not None:
                arguments = message["params"] if _takes_trigger(method) else {}
                self._call(name, method, **arguments)

    def _call(self, name: str, method: Callable[..., Any], **arguments: Any) -> None:
        """Call a method of the sensor, and tell the container when the call begins and ends."""
        self._connection.notify("hear", {"method": name, "running": True})
        try:
            method(**arguments)
        except (Exception, SystemExit):
            # exit() would end only this thread, and no later notification about triggers would be read.
            LOG.exception("%s() failed", name)
        finally:
            self._connection.notify("hear", {"method": name, "running": False})


def _takes_trigger(method: Callable[..., Any]) -> bool:
    """Return whether a callback has a parameter for the trigger: some real packs omit it."""
    try:
        inspect.signature(method).bind(trigger={})
    except TypeError:
        return False
    except ValueError:
        # A builtin that has no signature.
        return True
    return True
