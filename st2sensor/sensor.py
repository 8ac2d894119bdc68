"""The public sensor API: the base classes of sensors.

Names, signatures and attributes follow StackStorm's `st2reactor.sensor.base`.
Standard library only, CPython 3.9: this module is part of the wrapper.
"""

from __future__ import annotations

import abc
import time
from typing import Any, Dict, Optional

DEFAULT_POLL_INTERVAL = 5.0
"""Seconds between two polls if neither metadata nor class sets them, as in StackStorm."""


class BaseSensor(abc.ABC):
    """The common base of all sensors.

    :param sensor_service: gives access to dispatch(), logging and the datastore.
    :param config: the pack's configuration, a dict.
    """

    # Set on the class, because some real sensors override __init__ without calling this one.
    _sensor_service: Any = None
    _config: Dict[str, Any] = {}  # noqa: RUF012 (never changed in place)
    sensor_service: Any = None
    config: Dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, sensor_service: Any, config: Optional[Dict[str, Any]] = None) -> None:
        self._sensor_service = self.sensor_service = sensor_service
        self._config = self.config = config or {}

    @abc.abstractmethod
    def setup(self) -> None:
        """Prepare the sensor. Called once, before all other methods, in the main thread."""

    @abc.abstractmethod
    def cleanup(self) -> None:
        """Release the resources that setup() acquired. Called once when the sensor stops, in the main thread."""

    @abc.abstractmethod
    def add_trigger(self, trigger: Dict[str, Any]) -> None:
        """Start watching for a trigger of one of this sensor's trigger types. Called when a rule asks for it.

        :param trigger: id, uid, ref, name, pack, type, parameters.
        """

    @abc.abstractmethod
    def update_trigger(self, trigger: Dict[str, Any]) -> None:
        """Adapt to the new parameters of an added trigger. Its id stays the same."""

    @abc.abstractmethod
    def remove_trigger(self, trigger: Dict[str, Any]) -> None:
        """Stop watching for a trigger. Called when no rule asks for it any longer."""

    def triggers_known(self) -> None:  # noqa: B027 (few sensors override it)
        """Called when all triggers that rules ask for have been added. An optional extension of StackStorm's API."""


class Sensor(BaseSensor):
    """A passive sensor: `run()` waits for outside events for as long as the sensor lives."""

    @abc.abstractmethod
    def run(self) -> None:
        """Watch the outside system. The sensor ends when this returns."""


class PollingSensor(Sensor):
    """A sensor whose `poll()` is called every `poll_interval` seconds.

    The interval runs from the start of one poll to the start of the next. It is read before each wait, so a change
    takes effect at once.

    :param poll_interval: seconds, which may be fractional; None keeps the default of the class.
    """

    _poll_interval: float = DEFAULT_POLL_INTERVAL

    def __init__(
        self,
        sensor_service: Any,
        config: Optional[Dict[str, Any]] = None,
        poll_interval: Optional[float] = DEFAULT_POLL_INTERVAL,
    ) -> None:
        super().__init__(sensor_service=sensor_service, config=config)
        # Real packs pass on their own default, None.
        if poll_interval is not None:
            self.set_poll_interval(poll_interval)

    @abc.abstractmethod
    def poll(self) -> None:
        """Check the outside system once."""

    def run(self) -> None:
        due = time.monotonic()
        while True:
            self.poll()
            now = time.monotonic()
            # After a poll that took longer than the interval, the next one starts at once. Missed polls are skipped.
            due = max(due + self._poll_interval, now)
            time.sleep(due - now)

    def get_poll_interval(self) -> float:
        """Return the seconds between the starts of two polls."""
        return self._poll_interval

    def set_poll_interval(self, poll_interval: float) -> None:
        """Set the seconds between the starts of two polls, from the next wait on.

        Raises ValueError unless they are a number above 0.
        """
        if isinstance(poll_interval, bool) or not isinstance(poll_interval, (int, float)) or not poll_interval > 0:
            raise ValueError(f"poll_interval must be a number of seconds above 0, not {poll_interval!r}")
        self._poll_interval = poll_interval
