import json
import time

import psycopg
from psycopg import sql
from st2reactor.sensor.base import Sensor

LIMITS = {
    "connect_timeout": 10,
    "options": "-c statement_timeout=30000 -c lock_timeout=10000",
    # A server that does not answer is noticed after about 25 s.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
BATCH = 100  # rows per commit
LOOK = 60  # seconds until the table is read without a notification
FIRST_PAUSE, LAST_PAUSE = 1, 60  # seconds between two attempts to connect


class NotifySensor(Sensor):
    def setup(self):
        self._logger = self.sensor_service.get_logger(name=self.__class__.__name__)
        table = sql.Identifier(self.config["table"])
        self._take = sql.SQL("SELECT id, payload FROM {} ORDER BY id LIMIT %s FOR UPDATE").format(table)
        self._delete = sql.SQL("DELETE FROM {} WHERE id = ANY(%s)").format(table)
        self._listen = sql.SQL("LISTEN {}").format(sql.Identifier(self.config["channel"]))
        self._secret = {"password": self.config["password"]} if self.config.get("password") else {}

    def run(self):
        self._pause = FIRST_PAUSE
        while True:
            try:
                with psycopg.connect(self.config["connection"], autocommit=True, **self._secret, **LIMITS) as database:
                    self._follow(database)
            except psycopg.OperationalError as error:
                self._logger.warning("%s; trying again in %d s", str(error).strip(), self._pause)
            time.sleep(self._pause)
            self._pause = min(2 * self._pause, LAST_PAUSE)

    def _follow(self, database):
        # First listen, then look: a row that is inserted in between is found by one of the two.
        database.execute(self._listen)
        self._logger.info("listening on %s", self.config["channel"])
        self._pause = FIRST_PAUSE
        while True:
            while self._report(database):
                pass
            # Many notifications cause one look, because a look takes all rows.
            for _ in database.notifies(timeout=LOOK, stop_after=1):
                pass

    def _report(self, database):
        with database.transaction():
            rows = database.execute(self._take, [BATCH]).fetchall()
            # A row is still there if the sensor was killed after the dispatch and before the DELETE.
            told = json.loads(self.sensor_service.get_value("told") or "[]")
            events = [("postgres.event", {"id": i, "data": data}, f"postgres-{i}") for i, data in rows if i not in told]
            if events:
                self.sensor_service.dispatch_and_set(events, "told", json.dumps([i for i, _ in rows]))
            if rows:
                database.execute(self._delete, [[i for i, _ in rows]])
        return len(rows) == BATCH

    def cleanup(self):
        pass

    def add_trigger(self, trigger):
        pass

    def update_trigger(self, trigger):
        pass

    def remove_trigger(self, trigger):
        pass
