"""The sensor `core.TimerSensor`."""

from __future__ import annotations

from typing import Any

from st2sensor.core_pack.timers.timekeeper import Timekeeper
from st2sensor.sensor import Sensor


class TimerSensor(Sensor):
    """Fires the timers that rules ask for: core.st2.IntervalTimer, core.st2.DateTimer and core.st2.CronTimer."""

    def setup(self) -> None:
        timers = self.config["timers"]
        self._timekeeper = Timekeeper(
            self.sensor_service,
            self.sensor_service.get_logger(name=self.__class__.__name__),
            zone=timers["local_timezone"],
            policy=timers["missed"],
            most=timers["max_missed"],
        )

    def run(self) -> None:
        while True:
            self._timekeeper.wait(self._timekeeper.turn())

    def cleanup(self) -> None:
        """Do nothing: every fired time has been stored together with its event."""

    def add_trigger(self, trigger: dict[str, Any]) -> None:
        self._timekeeper.add(trigger)

    def update_trigger(self, trigger: dict[str, Any]) -> None:
        self._timekeeper.add(trigger)

    def remove_trigger(self, trigger: dict[str, Any]) -> None:
        self._timekeeper.remove(trigger)

    def triggers_known(self) -> None:
        self._timekeeper.complete()
