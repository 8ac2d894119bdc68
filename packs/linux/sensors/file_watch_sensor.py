import json
import os
import threading
import time

from followed_file import FollowedFile
from st2reactor.sensor.base import Sensor

LOOK_INTERVAL = 0.2
"""Seconds between two looks at the files."""

SAVE_INTERVAL = 1.0
"""Seconds between two notes of how far the files were read."""


class FileWatchSensor(Sensor):
    """Emits a trigger for each line appended to the files that rules ask for.

    How far each file was read is kept in the datastore, so that lines written while the sensor is down are seen.
    """

    def setup(self):
        self._logger = self.sensor_service.get_logger(name=self.__class__.__name__)
        self._lock = threading.Lock()
        self._followed = {}
        self._saved = {}

    def run(self):
        save_at = 0
        while True:
            with self._lock:
                for trigger, path, file in list(self._followed.values()):
                    self._emit_lines(trigger, path, file)
                if time.monotonic() >= save_at:
                    self._save_positions()
                    save_at = time.monotonic() + SAVE_INTERVAL
            time.sleep(LOOK_INTERVAL)

    def cleanup(self):
        with self._lock:
            self._save_positions()
            for _, _, file in self._followed.values():
                file.close()
        self._logger.info("cleanup() called")

    def add_trigger(self, trigger):
        path = trigger["parameters"]["file_path"]
        position = self.sensor_service.get_value(path)
        with self._lock:
            file = FollowedFile(path, json.loads(position) if position else None)
            self._followed[trigger["id"]] = (trigger["ref"], path, file)
        self._logger.info("following %s", path)

    def update_trigger(self, trigger):
        self.remove_trigger(trigger)
        self.add_trigger(trigger)

    def remove_trigger(self, trigger):
        with self._lock:
            _, path, file = self._followed.pop(trigger["id"], (None, None, None))
        if file is not None:
            file.close()
            self._saved.pop(path, None)
            self.sensor_service.delete_value(path)
            self._logger.info("not following %s any more", path)

    def _emit_lines(self, trigger, path, file):
        try:
            for line in file.lines():
                payload = {"file_path": path, "file_name": os.path.basename(path), "line": line}
                self.sensor_service.dispatch(trigger=trigger, payload=payload)
        except OSError as error:
            self._logger.warning("%s cannot be read: %s", path, error)

    def _save_positions(self):
        for _, path, file in self._followed.values():
            position = file.position()
            if position is not None and position != self._saved.get(path):
                self.sensor_service.set_value(path, json.dumps(position))
                self._saved[path] = position
