import time

import serial
from st2reactor.sensor.base import Sensor

WAIT = 1  # seconds
MAX_BYTES = 4096  # of a line; a longer one is reported in parts
FIRST_PAUSE, LAST_PAUSE = 1, 30  # seconds between two attempts to open the device


class SerialSensor(Sensor):
    def setup(self):
        self._logger = self.sensor_service.get_logger(name=self.__class__.__name__)

    def run(self):
        self._pause = FIRST_PAUSE
        while True:
            try:
                # Exclusive: of two readers, each would get a part of the bytes.
                device, speed = self.config["device"], self.config["baudrate"]
                with serial.Serial(device, speed, timeout=WAIT, exclusive=True) as port:
                    self._logger.info("reading %s", device)
                    self._follow(port)
            except (serial.SerialException, OSError) as error:
                self._logger.warning("%s; trying again in %d s", error, self._pause)
            time.sleep(self._pause)
            self._pause = min(2 * self._pause, LAST_PAUSE)

    def _follow(self, port):
        rest = b""
        while True:
            # Waits for the first byte, and then takes all that have arrived.
            rest += port.read(1) + port.read(min(port.in_waiting, MAX_BYTES))
            self._pause = FIRST_PAUSE
            *lines, rest = rest.split(b"\n")
            if len(rest) >= MAX_BYTES:
                lines, rest = [*lines, rest], b""
            texts = [line.decode("utf-8", "replace").rstrip("\r") for line in lines]
            events = [("serial.line", {"device": self.config["device"], "line": text}) for text in texts]
            if events:
                self.sensor_service.dispatch_many(events)

    def cleanup(self):
        pass

    def add_trigger(self, trigger):
        pass

    def update_trigger(self, trigger):
        pass

    def remove_trigger(self, trigger):
        pass
