import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from st2reactor.sensor.base import Sensor

QOS = 1  # the broker repeats a message until it is acknowledged
KEEPALIVE = 30  # seconds; a broker that is silent for longer is gone
FIRST_PAUSE, LAST_PAUSE = 1, 60  # seconds between two attempts to connect


class MqttSensor(Sensor):
    def setup(self):
        self._logger = self.sensor_service.get_logger(name=self.__class__.__name__)
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.config["client_id"],
            # A session that the broker keeps: it collects messages while the sensor is away.
            clean_session=False,
            # A message is acknowledged once its event is on disk.
            manual_ack=True,
        )
        self._client.connect_timeout = 10
        self._client.reconnect_delay_set(FIRST_PAUSE, LAST_PAUSE)
        if self.config.get("username"):
            self._client.username_pw_set(self.config["username"], self.config.get("password"))
        if self.config["tls"]:
            self._client.tls_set()
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.on_message = self._arrived

    def run(self):
        self._client.connect_async(self.config["host"], self.config["port"], keepalive=KEEPALIVE)
        # Connects, also again and again. The callbacks are called here, in the main thread.
        self._client.loop_forever(retry_first_connection=True)

    def _connected(self, client, userdata, flags, reason, properties):
        if reason.is_failure:
            self._logger.warning("the broker refuses the connection: %s", reason)
            return
        client.subscribe([(topic, QOS) for topic in self.config["topics"]])
        self._logger.info("connected; %s session", "known" if flags.session_present else "new")

    def _disconnected(self, client, userdata, flags, reason, properties):
        self._logger.warning("the connection is lost (%s); trying again", reason)

    def _arrived(self, client, userdata, message):
        text = message.payload.decode("utf-8", "replace")
        payload = {"topic": message.topic, "text": text, "retained": bool(message.retain)}
        self.sensor_service.dispatch("mqtt.message", payload)
        client.ack(message.mid, message.qos)

    def cleanup(self):
        self._client.disconnect()

    def add_trigger(self, trigger):
        pass

    def update_trigger(self, trigger):
        pass

    def remove_trigger(self, trigger):
        pass
