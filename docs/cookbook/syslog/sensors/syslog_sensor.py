import re
import select
import socket

from st2reactor.sensor.base import Sensor

WAIT = 30  # seconds
BATCH = 500  # messages per commit
MAX_BYTES = 65_535  # of one message
KERNEL_BUFFER = 4_000_000  # bytes, in which messages wait for the sensor; net.core.rmem_max may allow less
PRIORITY = re.compile(r"<(\d{1,3})>(.*)", re.DOTALL)  # RFC 5424 and RFC 3164 begin alike
NOTICE_OF_USER = 13  # the priority of a message without one, as RFC 3164 says


class SyslogSensor(Sensor):
    def setup(self):
        self._logger = self.sensor_service.get_logger(name=self.__class__.__name__)
        address = (self.config["address"], self.config["port"])
        self._socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BUFFER)
        self._socket.setblocking(False)
        self._socket.bind(address)
        self._logger.info("listening on %s, port %d", *address)

    def run(self):
        while True:
            select.select([self._socket], [], [], WAIT)
            # All that has arrived goes into the same commit. This keeps up with bursts.
            messages = []
            try:
                while len(messages) < BATCH:
                    messages.append(self._socket.recvfrom(MAX_BYTES))
            except BlockingIOError:
                pass
            payloads = [payload(raw, sender[0]) for raw, sender in messages]
            severe = [found for found in payloads if found["severity"] <= self.config["least_severity"]]
            self.sensor_service.dispatch_many([("syslog.message", found) for found in severe])

    def cleanup(self):
        self._socket.close()

    def add_trigger(self, trigger):
        pass

    def update_trigger(self, trigger):
        pass

    def remove_trigger(self, trigger):
        pass


def payload(raw, sender):
    text = raw.decode("utf-8", "replace").rstrip("\n\0")
    match = PRIORITY.match(text)
    priority, rest = (int(match[1]), match[2]) if match else (NOTICE_OF_USER, text)
    return {"sender": sender, "facility": priority // 8, "severity": priority % 8, "text": rest}
