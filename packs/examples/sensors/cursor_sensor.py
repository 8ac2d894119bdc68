import json

from st2reactor.sensor.base import PollingSensor


class CursorSensor(PollingSensor):
    """Keeps its position in the datastore, so that it continues from there after a restart."""

    def setup(self):
        self._logger = self.sensor_service.get_logger(name=self.__class__.__name__)

    def poll(self):
        count, current, following = json.loads(self.sensor_service.get_value("cursor") or "[1, 1, 1]")
        self.sensor_service.dispatch(trigger="examples.fibonacci", payload={"count": count, "fibonacci": current})
        self.sensor_service.set_value("cursor", json.dumps([count + 1, following, current + following]))

    def cleanup(self):
        self._logger.info("cleanup() called")

    def add_trigger(self, trigger):
        pass

    def update_trigger(self, trigger):
        pass

    def remove_trigger(self, trigger):
        pass
