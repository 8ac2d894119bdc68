import os

from st2reactor.sensor.base import PollingSensor


class SamplePollingSensor(PollingSensor):
    """A polling sensor: poll() is called every poll_interval seconds."""

    def setup(self):
        self._logger = self.sensor_service.get_logger(name=self.__class__.__name__)

    def poll(self):
        one, five, fifteen = os.getloadavg()
        payload = {"one_minute": one, "five_minutes": five, "fifteen_minutes": fifteen}
        self.sensor_service.dispatch(trigger="examples.load", payload=payload)

    def cleanup(self):
        self._logger.info("cleanup() called")

    def add_trigger(self, trigger):
        pass

    def update_trigger(self, trigger):
        pass

    def remove_trigger(self, trigger):
        pass
