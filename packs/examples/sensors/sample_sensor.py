import threading
from datetime import UTC, datetime

from st2reactor.sensor.base import Sensor


class SampleSensor(Sensor):
    """A passive sensor: run() waits for something to happen, here for time to pass."""

    def setup(self):
        self._logger = self.sensor_service.get_logger(name=self.__class__.__name__)
        self._stopped = threading.Event()

    def run(self):
        while not self._stopped.wait(10):
            payload = {"executed_at": datetime.now(UTC).isoformat()}
            self.sensor_service.dispatch(trigger="examples.event", payload=payload)

    def cleanup(self):
        self._stopped.set()
        self._logger.info("cleanup() called")

    def add_trigger(self, trigger):
        pass

    def update_trigger(self, trigger):
        pass

    def remove_trigger(self, trigger):
        pass
