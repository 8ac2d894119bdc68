"""Sensors that use servers in other programs: MQTT, IMAP, Amazon's queues."""

from __future__ import annotations

import contextlib
import smtplib
import socket
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from tests.real_packs.programs import find, listens, serving
from tests.real_packs.scenarios.listeners import HOST, service_notifications
from tests.real_packs.stage import PATIENCE, NotHere, Play, Running, Scenario, Stage
from tests.real_packs.web import send
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import eventually

TOPIC = "sample"

QUEUED = "aws.sqs_new_message"

REGION = "us-east-1"

ACCOUNT = "123456789012"
"""The account that owns moto's queues."""


def mqtt(stage: Stage) -> Play:
    return _mqtt(stage, "MQTTSensor", "mqtt.message", {"hostname": HOST})


def monitor_mqtt(stage: Stage) -> Play:
    """The host's name consists of two options; messages are evaluated as Python."""
    own = {"tenant_id": "127", "hostname": "0.0.1", "client_id": "sample", "userdata": "sample", "protocol": "MQTTv311"}
    return _mqtt(stage, "MQTTSensor", "monitor_mqtt.message", own)


def _mqtt(stage: Stage, sensor: str, trigger: str, config: dict[str, Any]) -> Play:
    """A retained message waits in the broker for the sensor to subscribe."""
    port = free_port()
    file = stage.folder / "mosquitto.conf"
    file.write_text(f"listener {port} {HOST}\nallow_anonymous true\n")
    stage.serve(serving([find("mosquitto"), "-c", str(file)], port, stage.folder))
    _retain(port, TOPIC.encode(), b"{'temperature': 21}")
    return Play(sensors={sensor: None}, config={"port": port, "subscribe": [TOPIC], **config}, arrive=[trigger])


def _retain(port: int, topic: bytes, message: bytes) -> None:
    """Publish a retained message, which new subscribers also get, with MQTT 3.1.1."""

    def text(content: bytes) -> bytes:
        return len(content).to_bytes(2, "big") + content

    def packet(kind: int, content: bytes) -> bytes:
        return bytes([kind, len(content)]) + content

    with socket.create_connection((HOST, port), timeout=10) as connection:
        connection.sendall(packet(0x10, text(b"MQTT") + b"\x04\x02\x00\x3c" + text(b"publisher")))
        assert connection.recv(4)[:1] == b"\x20", "the broker does not greet"
        connection.sendall(packet(0x31, text(topic) + message) + packet(0xE0, b""))


def email(stage: Stage) -> Play:
    """A mailbox with mail, and a sensor that listens for SMTP, whose code Python 3 cannot call.

    The configuration has the options of both versions of the sensors.
    """
    imap, smtp = free_port(), free_port()
    only_imap = [f"--no-service={service}" for service in ("managesieve", "admin")]
    command = [find("pymap"), "--host", HOST, "--port", str(imap), "--no-tls", *only_imap, "dict", "--demo-data"]
    stage.serve(serving(command, imap, stage.folder))

    def stimulate(running: Running) -> None:
        eventually("the sensor listens for SMTP", lambda: listens(smtp), PATIENCE)
        with contextlib.suppress(smtplib.SMTPException), smtplib.SMTP(HOST, smtp, timeout=10) as client:
            client.sendmail("sender@example.com", ["receiver@example.com"], "Subject: sample\n\nsample")
        running.logs("process_message() got an unexpected keyword argument")

    account = {"name": "main", "server": HOST, "port": imap, "username": "demouser", "password": "demopass"}
    return Play(
        sensors={"IMAPSensor": 1, "SMTPSensor": None},
        config={
            "imap_accounts": [{**account, "secure": False, "download_attachments": False, "folder": "INBOX"}],
            "imap_mailboxes": {"main": {**account, "ssl": False}},
            "smtp_accounts": [],
            "sensor_smtp_listen_ip": HOST,
            "sensor_smtp_listen_port": smtp,
            "smtp_listen_ip": HOST,
            "smtp_listen_port": smtp,
        },
        arrive=["email.imap.message"],
        proves={"SMTPSensor": "takes mail, and its own code raises TypeError for each"},
        stimulate=stimulate,
    )


def kafka(stage: Stage) -> Play:  # noqa: ARG001
    """The library refuses an option of the sensors before it looks for a broker."""
    config = {"hosts": f"{HOST}:{free_port()}", "topics": [TOPIC]}
    sensors = ("KafkaMessageSensor", "KafkaGCPMessageSensor")
    return Play(
        sensors=dict.fromkeys(sensors),
        config={"message_sensor": config, "gcp_message_sensor": config},
        logged=["Unrecognized configs"],
        proves=dict.fromkeys(sensors, "setup() raises, as its library refuses an option"),
    )


def old_email(stage: Stage) -> Play:
    """The older sensor for mailboxes cannot read mail on Python 3 either."""
    play = email(stage)
    return replace(
        play,
        arrive=[],
        logged=["TypeError: can't concat int to bytes"],
        proves={**play.proves, "IMAPSensor": "its own code raises TypeError for a mail"},
    )


def old_aws(stage: Stage) -> Play:
    """The older sensor for queues dispatches a text although it declares an object."""
    play = aws(stage)
    if "AWSSQSSensor" not in play.sensors:
        return play
    return replace(
        play,
        arrive=[trigger for trigger in play.arrive if trigger != QUEUED],
        logged=[f"dispatched {QUEUED}, which is kept as a dead letter"],
        proves={"AWSSQSSensor": "dispatches what its own schema forbids"},
    )


def aws(stage: Stage) -> Play:
    """Notifications, and a queue on moto's server if that is installed."""
    notifications = service_notifications(stage)
    try:
        server = find("moto_server")
    except NotHere as missing:
        return replace(notifications, note=f"queues not played: {missing}")
    port = free_port()
    stage.serve(serving([server, "-H", HOST, "-p", str(port)], port, stage.folder))
    url = f"http://{HOST}:{port}"
    _ask_queues(url, Action="CreateQueue", QueueName=TOPIC)
    _ask_queues(url, Action="SendMessage", QueueUrl=f"{url}/{ACCOUNT}/{TOPIC}", MessageBody='{"sample": 1}')
    return replace(
        notifications,
        sensors={**notifications.sensors, "AWSSQSSensor": 1},
        config={
            **notifications.config,
            "region": REGION,
            "sqs_sensor": {"input_queues": [TOPIC]},
            "sqs_other": {"max_number_of_messages": 1},
        },
        arrive=[*notifications.arrive, QUEUED],
        variables={"AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": REGION},
    )


def _ask_queues(url: str, **parameters: str) -> None:
    """Ask the server, which recognizes the service by the credential."""
    credential = f"AWS4-HMAC-SHA256 Credential=id/20200101/{REGION}/sqs/aws4_request, SignedHeaders=host, Signature=0"
    headers = {"Authorization": credential, "Content-Type": "application/x-www-form-urlencoded"}
    send(url, urlencode(parameters).encode(), headers)


SCENARIOS: dict[str, Scenario] = {
    "aws": aws,
    "contrib--aws": old_aws,
    "contrib--email": old_email,
    "contrib--mqtt": mqtt,
    "email": email,
    "kafka": kafka,
    "monitor_mqtt": monitor_mqtt,
    "mqtt": mqtt,
}
