"""One sensor's life in its process: connect, load, setup, run, cleanup."""

from __future__ import annotations

import _thread
import atexit
import faulthandler
import inspect
import logging
import os
import sys
from contextlib import suppress
from typing import Any, Callable, Dict, Mapping, Optional

from st2sensor.errors import St2SensorError
from st2sensor.portable import rpc
from st2sensor.sensor import Sensor
from st2sensor.wrapper import exits, logs
from st2sensor.wrapper.connection import Caller, Connection
from st2sensor.wrapper.exits import FAILED
from st2sensor.wrapper.forking.title import LIBC
from st2sensor.wrapper.green import GreenConnection
from st2sensor.wrapper.loading import constructor
from st2sensor.wrapper.loading.loader import LoadError, derives, load_class
from st2sensor.wrapper.service import SensorService
from st2sensor.wrapper.stop import Stop, StopSensor

LOG = logging.getLogger("st2sensor.wrapper")

CONTENT_ERROR, CONTAINER_GONE, INTERRUPTED, STOPPED = 65, 70, 130, 143
"""Exit codes."""

PR_SET_PDEATHSIG, SIGKILL = 1, 9

FOREVER = float("inf")

CALLBACKS = {
    "trigger.add": "add_trigger",
    "trigger.update": "update_trigger",
    "trigger.remove": "remove_trigger",
    "trigger.known": "triggers_known",
}
"""Methods of the sensor, by what the container tells."""

PACKAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
"""The folder of this package, with a separator at its end."""


class Wrapper:
    """What can be made ready before it is known which sensor to run: a zygote makes it once for all that it forks.

    :ivar stacks: the file descriptor that stacks are printed to, a copy of stderr: a sensor may close that, or send it
        elsewhere.
    """

    def __init__(self) -> None:
        self._stop = Stop()
        self._logs = logs.configure()
        self.stacks = os.dup(2)
        faulthandler.register(rpc.STACKS_SIGNAL, file=self.stacks)

    def run(self, environment: Mapping[str, str]) -> int:
        """Run the sensor that the container names; returns the exit code, or ends the process itself."""
        _die_with(int(environment["ST2SENSOR_CONTAINER"]))
        path, token = environment["ST2SENSOR_SOCKET"], environment["ST2SENSOR_TOKEN"]

        def connect() -> Connection:
            return Connection(path, token, gone=_container_gone)

        own = Connection(path, token, gone=_container_gone, shield=self._stop)
        connection: Caller = own
        if "ST2SENSOR_EVENTLET" in environment and "eventlet" in sys.modules:
            connection = GreenConnection(own, connect)
        try:
            code = self._run(connection, connect)
        except StopSensor:
            code = STOPPED
        try:
            self._stop.over()
        except StopSensor:
            # It came in this very moment; it does not come again as long as it is being handled.
            self._stop.over()
        _end(code)
        return code

    def _run(self, connection: Caller, connect: Callable[[], Connection]) -> int:
        try:
            self._stop.begin()
            assignment = connection.call("assignment", {})
            self._logs.connection = connection
            logs.set_level(assignment["log_level"])
            return _run_sensor(assignment, connection, connect(), self._stop)
        except St2SensorError as error:
            LOG.error("%s", error)
            return error.exit_code


def _run_sensor(
    assignment: Dict[str, Any],
    connection: Caller,
    told: Connection,
    stop: Stop,
) -> int:
    try:
        sensor_class = load_class(assignment["code"])
        constructor.check(sensor_class, assignment["poll_interval"], assignment["code"]["file"])
    except LoadError as error:
        place = error.file if error.line is None else f"{error.file}:{error.line}"
        LOG.error("%s: %s", place, error, exc_info=error.__cause__)
        return CONTENT_ERROR
    life = Life(sensor_class, assignment, connection, told)

    def end() -> None:
        stop.over()
        connection.notify("ending", {})
        life.clean_up()

    def end_here() -> None:
        # Before anything is said: the connection's shield would raise the stop again.
        stop.over()
        LOG.warning("the sensor goes on though it was asked to stop: cleanup() is called in the middle of what it does")
        end()
        _end(STOPPED)

    stop.end_here = end_here
    try:
        code = life.lead()
    except StopSensor:
        # Whoever sent the signal: the container knows whether it was the container.
        code = STOPPED
    try:
        stop.over()
    except StopSensor:
        code = STOPPED
    end()
    return code


class Life:
    """The sensor's: from its instance to its cleanup()."""

    def __init__(self, sensor_class: type, assignment: Dict[str, Any], connection: Caller, told: Connection) -> None:
        self._class = sensor_class
        self._assignment = assignment
        self._connection = connection
        self._told = told
        self._ref = assignment["ref"]
        self._sensor: Optional[Sensor] = None
        self._is_set_up = False

    def lead(self) -> int:
        """Live until the sensor ends; returns the exit code. Raises StopSensor."""
        try:
            self._run()
        except StopSensor:
            raise
        except SystemExit as exit_:
            return exits.code_of(exit_, logging.getLogger(self._ref), self._assignment["code"]["file"])
        except KeyboardInterrupt as error:
            if not os.isatty(0):
                logging.getLogger(self._ref).error("the sensor failed", exc_info=_from_its_code_on(error))
            return INTERRUPTED
        except BaseException as error:
            logging.getLogger(self._ref).error("the sensor failed", exc_info=_from_its_code_on(error))
            return FAILED
        return 0

    def clean_up(self) -> None:
        """Call cleanup(), if there is a sensor."""
        try:
            if self._sensor is not None:
                self._sensor.cleanup()
        except BaseException:
            # After a setup() that failed itself it is no news.
            level = logging.ERROR if self._is_set_up else logging.DEBUG
            logging.getLogger(self._ref).log(level, "cleanup() failed", exc_info=True)

    def _run(self) -> None:
        connection = self._connection
        service = SensorService(connection, self._ref, self._assignment.get("fence"))
        passed = constructor.arguments(
            self._class, service, self._assignment["config"], self._assignment["poll_interval"]
        )
        sensor: Sensor = self._class(**passed)
        self._sensor = sensor
        if derives(self._class, "PollingSensor"):
            polling: Any = sensor
            polling.poll = _reported(polling, polling.poll, connection)
        callbacks = Callbacks(sensor, self._told)
        callbacks.start()
        connection.notify("ready", {})
        sensor.setup()
        self._is_set_up = True
        connection.notify("set_up", {})
        callbacks.subscribe()
        sensor.run()


def _interval(sensor: Any) -> Optional[float]:
    """Seconds between two polls; None for what is no such number."""
    interval: Any = getattr(sensor, "_poll_interval", None)
    return float(interval) if isinstance(interval, (int, float)) and 0 < interval < FOREVER else None


def _reported(sensor: Any, poll: Callable[[], None], connection: Caller) -> Callable[[], None]:
    """A poll() that tells the container when it begins and ends, and how often it is called."""

    def reported() -> None:
        connection.notify("poll", {"running": True, "interval": _interval(sensor)})
        try:
            poll()
        finally:
            connection.notify("poll", {"running": False})

    return reported


class Callbacks:
    """Does what the container tells, in a thread of its own: calls add_trigger() and its like, one at a time."""

    def __init__(self, sensor: Sensor, connection: Connection) -> None:
        self._connection = connection
        # Beyond StackStorm: a sensor that derives from StackStorm's own class has no triggers_known().
        self._methods = {name: getattr(sensor, name, None) for name in CALLBACKS.values()}
        if getattr(type(sensor), "triggers_known", None) is Sensor.triggers_known:
            # It does nothing: the container need not hear of that.
            self._methods["triggers_known"] = None

    def start(self) -> None:
        """Listen, from now on, to what does not concern triggers."""
        self._connection.notify("listen", {})
        # Past threading, whose list of threads is the sensor's: some join all that are on it.
        _thread.start_new_thread(self._listen, ())

    def subscribe(self) -> None:
        """Hear of triggers, too, now that setup() has returned."""
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
        """Call a method of the sensor, and tell the container when that begins and ends."""
        self._connection.notify("hear", {"method": name, "running": True})
        try:
            method(**arguments)
        except (Exception, SystemExit):
            # exit() would end this thread alone, and with it all that is heard of triggers.
            LOG.exception("%s() failed", name)
        finally:
            self._connection.notify("hear", {"method": name, "running": False})


def _takes_trigger(method: Callable[..., Any]) -> bool:
    """Whether a callback has a parameter for the trigger: some real packs leave it away."""
    try:
        inspect.signature(method).bind(trigger={})
    except TypeError:
        return False
    except ValueError:
        pass
    return True


def _from_its_code_on(error: BaseException) -> Any:
    """An error with its traceback from the sensor's own code on: how that was called says nothing to its author."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(PACKAGE):
            break
        traceback = traceback.tb_next
    return type(error), error, traceback


def _die_with(container: int) -> None:
    """Have the kernel kill this process when the container dies, however it dies.

    A process that the sensor has executed from its own command line has another parent: it learns of the end by its
    connection, as this one does, too.
    """
    if os.getppid() == container:
        LIBC.prctl(PR_SET_PDEATHSIG, SIGKILL)
        if os.getppid() != container:
            _container_gone()


def _container_gone() -> None:
    """Nothing is raised into sensor code, which might catch it: without its container a sensor is over."""
    os._exit(CONTAINER_GONE)


def _end(code: int) -> None:
    """End the process, whatever threads the sensor has left behind."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
