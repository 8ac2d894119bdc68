import hashlib
import json

import feedparser
import requests
from st2reactor.sensor.base import PollingSensor

TIMEOUT = (5, 20)  # seconds to connect, and to wait for more of the answer
MAX_BYTES = 8_000_000
MAX_IDS = 2000  # remembered per feed


class FeedSensor(PollingSensor):
    def setup(self):
        self._logger = self.sensor_service.get_logger(name=self.__class__.__name__)
        self._session = requests.Session()

    def poll(self):
        for url in self.config["feeds"]:
            try:
                self._read(url)
            except (requests.RequestException, ValueError) as error:
                self._logger.warning("%s: %s; the next poll tries again", url, error)

    def _read(self, url):
        key = "feed-" + hashlib.sha256(url.encode()).hexdigest()[:16]
        cursor = self.sensor_service.get_value(key)
        known = json.loads(cursor) if cursor else {"ids": [], "etag": None}
        headers = {"If-None-Match": known["etag"]} if known["etag"] else {}
        with self._session.get(url, headers=headers, timeout=TIMEOUT, stream=True) as answer:
            answer.raise_for_status()
            if answer.status_code == 304:
                return
            text = answer.raw.read(MAX_BYTES + 1, decode_content=True)
            etag = answer.headers.get("ETag")
        if len(text) > MAX_BYTES:
            raise ValueError(f"the feed is larger than {MAX_BYTES} bytes")
        feed = feedparser.parse(text)
        if feed.bozo and not feed.entries:
            raise ValueError(f"this is not a feed: {feed.bozo_exception}")
        told = set(known["ids"])
        # Feeds begin with the newest entry.
        entries = {identifier(entry): entry for entry in reversed(feed.entries)}
        new = [name for name in entries if name not in told]
        if not new:
            return
        events = [("rss.entry", payload(url, name, entries[name]), name) for name in new]
        if cursor is None and not self.config["existing"]:
            events = []
        # An entry that the feed still has must not be forgotten.
        ids = [name for name in known["ids"] if name not in entries][-MAX_IDS:] + list(entries)
        self.sensor_service.dispatch_and_set(events, key, json.dumps({"ids": ids, "etag": etag}), expected=cursor)

    def cleanup(self):
        self._session.close()

    def add_trigger(self, trigger):
        pass

    def update_trigger(self, trigger):
        pass

    def remove_trigger(self, trigger):
        pass


def identifier(entry):
    return entry.get("id") or entry.get("link") or entry.get("title", "")


def payload(url, name, entry):
    texts = {key: entry.get(key, "") for key in ("title", "link", "published", "summary")}
    return {"feed": url, "id": name, **texts}
