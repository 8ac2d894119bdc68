"""The life of a sensor in its process: connect, load, setup, run, cleanup."""

from __future__ import annotations

import atexit
import faulthandler
import logging
import os
import sys
from contextlib import suppress
from typing import Any, Callable, Dict, Mapping, NoReturn, Optional

from st2sensor.errors import St2SensorError
from st2sensor.portable import rpc
from st2sensor.sensor import Sensor
from st2sensor.wrapper import exits, logs
from st2sensor.wrapper.callbacks import Callbacks
from st2sensor.wrapper.connection import Caller, Connection
from st2sensor.wrapper.exits import FAILED
from st2sensor.wrapper.forking.title import LIBC
from st2sensor.wrapper.green import GreenConnection
from st2sensor.wrapper.loading import constructor, methods
from st2sensor.wrapper.loading.loader import LoadError, derives, load_class
from st2sensor.wrapper.service import SensorService
from st2sensor.wrapper.stop import Stop, StopSensor

LOG = logging.getLogger("st2sensor.wrapper")

CONTENT_ERROR, CONTAINER_GONE, INTERRUPTED, STOPPED = 65, 70, 130, 143
"""Exit codes."""

PR_SET_PDEATHSIG, SIGKILL = 1, 9
"""An option of prctl(2), and the signal to set with it."""

PACKAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
"""The folder of this package, with a separator at its end."""


class Wrapper:
    """Everything that can be prepared before the sensor is known. A zygote makes it once for all its wrappers.

    :ivar stacks: the file descriptor that stacks are printed to. It is a copy of stderr, which a sensor may close or
        redirect.
    """

    def __init__(self) -> None:
        self._stop = Stop()
        self._logs = logs.configure()
        self.stacks = os.dup(2)
        faulthandler.register(rpc.STACKS_SIGNAL, file=self.stacks)

    def run(self, environment: Mapping[str, str]) -> NoReturn:
        """Run the sensor that the container names, and end the process."""
        _die_with(int(environment["ST2SENSOR_CONTAINER"]))
        path, token = environment["ST2SENSOR_SOCKET"], environment["ST2SENSOR_TOKEN"]

        def connect() -> Connection:
            return Connection(path, token, gone=_container_gone)

        own = Connection(path, token, gone=_container_gone, shield=self._stop)
        connection: Caller = own
        if "ST2SENSOR_EVENTLET" in environment and "eventlet" in sys.modules:
            connection = GreenConnection(own, connect)
        _end(self._stop.follow(lambda: self._run(connection, connect), STOPPED))

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


def _run_sensor(assignment: Dict[str, Any], connection: Caller, notifications: Connection, stop: Stop) -> int:
    """Load and run the sensor, and return the exit code.

    :param notifications: a session for the container's notifications alone.
    """
    try:
        sensor_class = load_class(assignment["code"])
        constructor.check(sensor_class, assignment["poll_interval"], assignment["code"]["file"])
        methods.check(sensor_class, assignment["code"]["file"])
    except LoadError as error:
        place = error.file if error.line is None else f"{error.file}:{error.line}"
        LOG.error("%s: %s", place, error, exc_info=error.__cause__)
        return CONTENT_ERROR
    life = Life(sensor_class, assignment, connection, notifications)

    def end() -> None:
        stop.over()
        connection.notify("ending", {})
        life.clean_up()

    def end_here() -> NoReturn:
        # Call this before logging: otherwise the connection's shield would raise the stop again.
        stop.over()
        LOG.warning(
            "the sensor is still running although it was asked to stop: calling cleanup() in the middle of its work"
        )
        end()
        _end(STOPPED)

    stop.end_here = end_here
    # Any process may have sent the signal that stops the sensor. The container knows whether it sent the signal.
    code = stop.follow(life.lead, STOPPED)
    end()
    return code


class Life:
    """The life of one sensor, from its instance to its cleanup()."""

    def __init__(
        self, sensor_class: type, assignment: Dict[str, Any], connection: Caller, notifications: Connection
    ) -> None:
        self._class = sensor_class
        self._assignment = assignment
        self._connection = connection
        self._notifications = notifications
        self._ref = assignment["ref"]
        self._sensor: Optional[Sensor] = None
        self._is_set_up = False

    def lead(self) -> int:
        """Run the sensor until it ends, and return the exit code. Raises StopSensor."""
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
            message = "the sensor failed"
            if exits.is_end_of_debugger(error):
                if os.isatty(0):
                    # The user has quit the debugger.
                    return 0
                message = f"{message}: {exits.debugger_needs_terminal(self._ref)}"
            logging.getLogger(self._ref).error("%s", message, exc_info=_from_its_code_on(error))
            return FAILED
        return 0

    def clean_up(self) -> None:
        """Call the sensor's cleanup(), if the sensor exists."""
        try:
            if self._sensor is not None:
                self._sensor.cleanup()
        except BaseException:
            # After a failed setup(), this is expected.
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
        callbacks = Callbacks(sensor, self._notifications)
        callbacks.start()
        connection.notify("ready", {})
        sensor.setup()
        self._is_set_up = True
        connection.notify("set_up", {})
        callbacks.subscribe()
        sensor.run()


def _interval(sensor: Any) -> Optional[float]:
    """Return the seconds between two polls, or None unless they are a positive and finite number."""
    interval: Any = getattr(sensor, "_poll_interval", None)
    return float(interval) if isinstance(interval, (int, float)) and 0 < interval < float("inf") else None


def _reported(sensor: Any, poll: Callable[[], None], connection: Caller) -> Callable[[], None]:
    """Return a poll() that reports to the container when it begins, when it ends, and how often it is called."""

    def reported() -> None:
        connection.notify("poll", {"running": True, "interval": _interval(sensor)})
        try:
            poll()
        except BaseException:
            connection.notify("poll", {"running": False, "failed": True})
            raise
        connection.notify("poll", {"running": False})

    return reported


def _from_its_code_on(error: BaseException) -> Any:
    """Return an error with a traceback that starts in the sensor's own code.

    The sensor's author does not need to see the frames above the sensor's code.
    """
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(PACKAGE):
            break
        traceback = traceback.tb_next
    return type(error), error, traceback


def _die_with(container: int) -> None:
    """Make the kernel kill this process when the container dies, no matter how it dies.

    If the sensor executes its own command line again, the new process may have a different parent. Its connection
    reports the end of the container, as in this process.
    """
    if os.getppid() == container:
        LIBC.prctl(PR_SET_PDEATHSIG, SIGKILL)
        if os.getppid() != container:
            _container_gone()


def _container_gone() -> NoReturn:
    """End at once. An exception would reach the sensor's code, which might catch it."""
    os._exit(CONTAINER_GONE)


def _end(code: int) -> NoReturn:
    """End the process, even if the sensor has left threads behind."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
