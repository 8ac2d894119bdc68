import json
import logging
import time

from st2reactor.sensor.base import Sensor
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

LIMITS = {
    "open_timeout": 10,
    # A server that has not answered a ping within 20 s is gone.
    "ping_interval": 20,
    "ping_timeout": 20,
    "close_timeout": 1,
    "max_size": 1_000_000,
}
FIRST_PAUSE, LAST_PAUSE = 1, 60  # seconds between two attempts to connect


class WebsocketSensor(Sensor):
    def setup(self):
        self._logger = self.sensor_service.get_logger(name=self.__class__.__name__)
        # The library also raises what it logs.
        logging.getLogger("websockets").setLevel(logging.CRITICAL)
        token = self.config.get("token")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def run(self):
        pause = FIRST_PAUSE
        while True:
            try:
                with connect(self.config["url"], additional_headers=self._headers, **LIMITS) as connection:
                    self._logger.info("connected")
                    pause = FIRST_PAUSE
                    self._follow(connection)
                self._logger.warning("the server has closed the connection; trying again in %d s", pause)
            except (WebSocketException, OSError) as error:
                self._logger.warning("%s; trying again in %d s", error or type(error).__name__, pause)
            time.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE)

    def _follow(self, connection):
        if self.config.get("subscribe"):
            cursor = self.sensor_service.get_value("cursor") or "null"
            connection.send(self.config["subscribe"].replace("{cursor}", cursor))
        # The loop ends when the connection is closed, also by a ping without an answer.
        for message in connection:
            text = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
            data = parsed(text)
            event = ("websocket.message", {"url": self.config["url"], "text": text, "data": data})
            field = self.config.get("cursor_field")
            if isinstance(data, dict) and field in data:
                self.sensor_service.dispatch_and_set([event], "cursor", json.dumps(data[field]))
            else:
                self.sensor_service.dispatch(*event)

    def cleanup(self):
        pass

    def add_trigger(self, trigger):
        pass

    def update_trigger(self, trigger):
        pass

    def remove_trigger(self, trigger):
        pass


def parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        return None
