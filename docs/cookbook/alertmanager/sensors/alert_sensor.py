import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from st2reactor.sensor.base import Sensor

MAX_BYTES = 4_000_000  # of one post
IDLE = 30  # seconds until a connection on which nothing arrives is closed


class AlertSensor(Sensor):
    def setup(self):
        self._logger = self.sensor_service.get_logger(name=self.__class__.__name__)
        self._lock = threading.Lock()
        handler = type("Handler", (Handler,), {"sensor": self, "timeout": IDLE})
        self._server = ThreadingHTTPServer((self.config["address"], self.config["port"]), handler)
        self._authorization = f"Bearer {self.config['token']}".encode()

    def run(self):
        self._logger.info("listening on %s, port %d", *self._server.server_address[:2])
        self._server.serve_forever()

    def receive(self, authorization, body):
        """Return the status of the answer. Alertmanager posts again after a status of 500 or above."""
        if not hmac.compare_digest(authorization.encode(), self._authorization):
            return 401
        try:
            alerts = [payload(alert) for alert in json.loads(body)["alerts"]]
        except (ValueError, LookupError, TypeError, AttributeError):
            return 400
        # Each post is a whole group, mostly of alerts that were told before. One post at a time: the key is read first.
        with self._lock:
            cursor = self.sensor_service.get_value("firing")
            firing = json.loads(cursor or "{}")
            events = []
            for alert in alerts:
                name, since = alert["fingerprint"], alert["starts_at"]
                if alert["status"] == "firing" and firing.get(name) != since:
                    firing[name] = since
                elif alert["status"] != "resolved" or firing.pop(name, None) is None:
                    continue
                events.append(("alertmanager.alert", alert, f"{name}-{since}"))
            if events:
                self.sensor_service.dispatch_and_set(events, "firing", json.dumps(firing))
        return 200

    def cleanup(self):
        self._server.server_close()

    def add_trigger(self, trigger):
        pass

    def update_trigger(self, trigger):
        pass

    def remove_trigger(self, trigger):
        pass


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BYTES:
            self.send_error(413)
            return
        try:
            status = self.sensor.receive(self.headers.get("Authorization", ""), self.rfile.read(int(length)))
        except Exception as error:
            self.sensor._logger.warning("Alertmanager is asked to post again: %s", error)
            status = 503
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *line):
        pass


def payload(alert):
    return {
        "status": alert["status"],
        "name": alert["labels"].get("alertname", ""),
        "labels": alert["labels"],
        "annotations": alert.get("annotations", {}),
        "starts_at": alert["startsAt"],
        "ends_at": alert.get("endsAt", ""),
        "fingerprint": alert["fingerprint"],
    }
