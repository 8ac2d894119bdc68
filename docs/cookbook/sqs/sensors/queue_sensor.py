import json
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from st2reactor.sensor.base import Sensor

WAIT = 20  # seconds that SQS waits for a message, its maximum
BATCH = 10  # messages, the maximum of SQS
REMEMBERED = 1000  # messages, reported a short time ago, that are not reported again
FIRST_PAUSE, LAST_PAUSE = 1, 60  # seconds between two attempts


class QueueSensor(Sensor):
    def setup(self):
        self._logger = self.sensor_service.get_logger(name=self.__class__.__name__)
        limits = Config(connect_timeout=5, read_timeout=WAIT + 10, retries={"total_max_attempts": 1})
        self._client = boto3.client(
            "sqs",
            region_name=self.config["region"],
            endpoint_url=self.config.get("endpoint_url"),
            aws_access_key_id=self.config.get("access_key_id"),
            aws_secret_access_key=self.config.get("secret_access_key"),
            config=limits,
        )

    def run(self):
        pause = FIRST_PAUSE
        while True:
            try:
                self._report()
                pause = FIRST_PAUSE
            except (BotoCoreError, ClientError) as error:
                self._logger.warning("%s; trying again in %d s", error, pause)
                time.sleep(pause)
                pause = min(2 * pause, LAST_PAUSE)

    def _report(self):
        url = self.config["queue_url"]
        answer = self._client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=WAIT,
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        messages = answer.get("Messages", [])
        if not messages:
            return
        # SQS delivers a message again if the sensor is killed before the delete, and now and then just so.
        told = json.loads(self.sensor_service.get_value("told") or "[]")
        new = [message for message in messages if message["MessageId"] not in told]
        events = [("sqs.message", payload(message), message["MessageId"]) for message in new]
        if events:
            told = (told + [message["MessageId"] for message in new])[-REMEMBERED:]
            self.sensor_service.dispatch_and_set(events, "told", json.dumps(told))
        entries = [{"Id": str(n), "ReceiptHandle": found["ReceiptHandle"]} for n, found in enumerate(messages)]
        failed = self._client.delete_message_batch(QueueUrl=url, Entries=entries).get("Failed")
        if failed:
            self._logger.warning("%d messages could not be deleted, and will come again", len(failed))

    def cleanup(self):
        self._client.close()

    def add_trigger(self, trigger):
        pass

    def update_trigger(self, trigger):
        pass

    def remove_trigger(self, trigger):
        pass


def payload(message):
    try:
        data = json.loads(message["Body"])
    except ValueError:
        data = None
    sent = message["Attributes"]["SentTimestamp"]
    return {"id": message["MessageId"], "body": message["Body"], "data": data, "sent": sent}
