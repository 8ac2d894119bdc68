import json
import time
from pathlib import Path

import requests
from st2reactor.sensor.base import Sensor

WATCH = 60  # seconds until the server ends a watch; shortly before, it tells how far the watch has got
CONNECT, READ = 10, WATCH + 15  # seconds
PAGE = 250  # objects per answer of a list, and per commit
FIRST_PAUSE, LAST_PAUSE = 1, 60  # seconds between two requests
MISSED = "missed"  # the cursor's value while all objects have to be reported


class Gone(Exception):
    """The server no longer has the changes since the cursor."""


class WatchSensor(Sensor):
    def setup(self):
        self._logger = self.sensor_service.get_logger(name=self.__class__.__name__)
        self._session = requests.Session()
        # It takes precedence over the variables that requests reads.
        self._verify = self.config["ca_file"] if self.config["server"].startswith("https:") else True

    def run(self):
        self._pause = FIRST_PAUSE
        while True:
            version = self.sensor_service.get_value("version")
            try:
                if version in (None, MISSED):
                    self._list(report=version == MISSED)
                else:
                    self._watch(version)
                self._pause = FIRST_PAUSE
            except Gone:
                if version is not None:
                    self._logger.warning("changes may have been missed; all objects are reported as PRESENT")
                    self.sensor_service.set_value("version", MISSED)
            except (requests.RequestException, ValueError, OSError) as error:
                self._logger.warning("%s; trying again in %d s", error, self._pause)
                time.sleep(self._pause)
                self._pause = min(2 * self._pause, LAST_PAUSE)
                continue
            # The next watch begins where this one has ended.
            time.sleep(FIRST_PAUSE)

    def _get(self, **parameters):
        # The token is read each time, because the kubelet replaces it.
        headers = {"Authorization": f"Bearer {Path(self.config['token_file']).read_text().strip()}"}
        answer = self._session.get(
            self.config["server"] + self.config["path"],
            params={**parameters, "labelSelector": self.config["label_selector"]},
            headers=headers,
            timeout=(CONNECT, READ),
            verify=self._verify,
            stream=True,
        )
        if answer.status_code == 410:
            raise Gone
        answer.raise_for_status()
        return answer

    def _list(self, report):
        following = None
        while following != "":
            with self._get(limit=PAGE, **({"continue": following} if following else {})) as answer:
                page = answer.json()
            if report:
                self.sensor_service.dispatch_many([event("PRESENT", found) for found in page["items"]])
            following = page["metadata"].get("continue", "")
        self.sensor_service.set_value("version", page["metadata"]["resourceVersion"])

    def _watch(self, version):
        parameters = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": WATCH}
        with self._get(resourceVersion=version, **parameters) as answer:
            for line in answer.iter_lines(chunk_size=None):
                change = json.loads(line)
                found = change["object"]
                if change["type"] == "ERROR":
                    if found.get("code") == 410:
                        raise Gone
                    raise ValueError(found.get("message", "the watch has failed"))
                # A bookmark is no change, and moves the cursor.
                events = [] if change["type"] == "BOOKMARK" else [event(change["type"], found)]
                self.sensor_service.dispatch_and_set(events, "version", found["metadata"]["resourceVersion"])
                self._pause = FIRST_PAUSE

    def cleanup(self):
        self._session.close()

    def add_trigger(self, trigger):
        pass

    def update_trigger(self, trigger):
        pass

    def remove_trigger(self, trigger):
        pass


def event(kind, found):
    metadata = found["metadata"]
    metadata.pop("managedFields", None)
    payload = {"type": kind, "namespace": metadata.get("namespace", ""), "name": metadata["name"], "object": found}
    return "kubernetes.change", payload, f"{metadata['uid']}-{metadata['resourceVersion']}"
