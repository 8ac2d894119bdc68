"""The container's notifications, turned into calls of the sensor's methods."""

from __future__ import annotations

import _thread
import inspect
import logging
from contextlib import suppress
from typing import Any, Callable, Dict, List, Tuple

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
                self._call(name, method, message["params"])

    def _call(self, name: str, method: Callable[..., Any], params: Dict[str, Any]) -> None:
        """Call a method of the sensor, and report to the container when the call begins and ends.

        :param params: the trigger under `trigger`; empty for triggers_known.
        """
        self._connection.notify("hear", {"method": name, "running": True})
        try:
            positional, named = _arguments(method, params)
            method(*positional, **named)
        except (Exception, SystemExit):
            # exit() would end only this thread, and no later notification about triggers would be read.
            LOG.exception("%s() failed", name)
        finally:
            self._connection.notify("hear", {"method": name, "running": False})


def _arguments(method: Callable[..., Any], params: Dict[str, Any]) -> Tuple[List[Any], Dict[str, Any]]:
    """Return the positional and the named arguments of a callback.

    As in StackStorm, the trigger is passed by its name. Some real packs call the parameter something else, and some
    omit it.
    """
    try:
        signature = inspect.signature(method)
    except (TypeError, ValueError):
        # A builtin that has no signature.
        return [], params
    for positional, named in (([], params), ([*params.values()], {})):
        with suppress(TypeError):
            signature.bind(*positional, **named)
            return positional, named
    return [], {}
