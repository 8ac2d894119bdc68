import json
import os
import threading
import time

from followed_file import FollowedFile
from st2reactor.sensor.base import Sensor

LOOK_INTERVAL = 0.2
"""Seconds between two checks of the files."""

SAVE_INTERVAL = 1.0
"""Seconds between two saves of the positions in the files."""


class Watch:
    """A file that a rule asks for.

    :param trigger: the trigger's reference.
    """

    def __init__(self, trigger, path):
        self.trigger = trigger
        self.path = path
        self.file = FollowedFile(path)
        self.resumed = False
        self.saved = None
        self.problem = None


class FileWatchSensor(Sensor):
    """Emits a trigger for each line appended to the files that rules ask for.

    The position in each file is kept in the datastore, so that lines written while the sensor is down are not missed.
    While the datastore is away, new files wait for it, and all others are still followed.
    """

    def setup(self):
        self._logger = self.sensor_service.get_logger(name=self.__class__.__name__)
        self._lock = threading.Lock()
        self._watches = {}
        self._datastore_away = False

    def run(self):
        # In a separate thread, because its calls wait while the datastore is away.
        threading.Thread(target=self._keep_positions, daemon=True).start()
        while True:
            with self._lock:
                for watch in self._watches.values():
                    if watch.resumed:
                        self._emit_lines(watch)
            time.sleep(LOOK_INTERVAL)

    def cleanup(self):
        self._use_datastore(self._current_watches())
        with self._lock:
            for watch in self._watches.values():
                watch.file.close()
        self._logger.info("cleanup() called")

    def add_trigger(self, trigger):
        watch = Watch(trigger["ref"], trigger["parameters"]["file_path"])
        with self._lock:
            self._watches[trigger["id"]] = watch
        self._use_datastore([watch])

    def update_trigger(self, trigger):
        self.remove_trigger(trigger)
        self.add_trigger(trigger)

    def remove_trigger(self, trigger):
        with self._lock:
            watch = self._watches.pop(trigger["id"], None)
        if watch is not None:
            watch.file.close()
            self._logger.info("not following %s any more", watch.path)
            self.sensor_service.delete_value(watch.path)

    def _current_watches(self):
        with self._lock:
            return list(self._watches.values())

    def _keep_positions(self):
        while True:
            self._use_datastore(self._current_watches())
            time.sleep(SAVE_INTERVAL)

    def _emit_lines(self, watch):
        try:
            for line in watch.file.lines():
                payload = {"file_path": watch.path, "file_name": os.path.basename(watch.path), "line": line}
                self.sensor_service.dispatch(trigger=watch.trigger, payload=payload)
            problem = watch.file.problem
        except OSError as error:
            problem = error
        if str(problem) != str(watch.problem):
            if problem is None:
                self._logger.info("%s can be read now", watch.path)
            else:
                self._logger.warning("waiting for %s: %s", watch.path, problem)
            watch.problem = problem

    def _use_datastore(self, watches):
        """Look up where to resume, and save the position in each file. A failure is tried again later."""
        try:
            for watch in watches:
                if not watch.resumed:
                    self._resume(watch)
                with self._lock:
                    position = watch.file.position()
                if position != watch.saved:
                    self.sensor_service.set_value(watch.path, json.dumps(position))
                    watch.saved = position
            self._datastore_away = False
        except Exception as error:
            if not self._datastore_away:
                self._logger.warning("positions cannot be kept for now: %s", error)
            self._datastore_away = True

    def _resume(self, watch):
        position = self.sensor_service.get_value(watch.path)
        with self._lock:
            if watch.resumed:
                return
            if position:
                watch.file.resume(json.loads(position))
            watch.resumed = True
        self._logger.info("following %s", watch.path)
