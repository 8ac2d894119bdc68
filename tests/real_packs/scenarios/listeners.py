"""Sensors that listen for HTTP themselves."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

from tests.real_packs.stage import Play, Running, Scenario, Stage
from tests.real_packs.web import Api, send, send_json
from tests.support.servers.ports import free_port

HOST = "127.0.0.1"


def fixtures(stage: Stage) -> Play:  # noqa: ARG001
    port = free_port()

    def stimulate(running: Running) -> None:  # noqa: ARG001
        send_json(f"http://{HOST}:{port}/webhooks/passivesensor/test", {})

    return Play(
        sensors={"TestPassiveSensor": None, "TestPollingSensor": 1},
        config={"host": HOST, "port": port},
        arrive=["fixtures.test_passive_trigger.dummy", "fixtures.test_trigger.dummy"],
        stimulate=stimulate,
    )


def circle_ci(stage: Stage) -> Play:  # noqa: ARG001
    port = free_port()

    def stimulate(running: Running) -> None:  # noqa: ARG001
        send_json(f"http://{HOST}:{port}/webhooks/build/events", {"payload": {"status": "success"}})

    return Play(
        sensors={"CircleCIWebhookSensor": None},
        config={"token": "token", "host": HOST, "port": port, "endpoints": ["build/events"]},
        arrive=["circle_ci.build_event"],
        stimulate=stimulate,
    )


def smartthings(stage: Stage) -> Play:  # noqa: ARG001
    port = free_port()

    def stimulate(running: Running) -> None:  # noqa: ARG001
        send_json(f"http://{HOST}:{port}/", {"id": "1", "name": "switch"}, "PUT", {"X-Api-Key": "key"})

    return Play(
        sensors={"SmartThingsSensor": None},
        config={"api_key": "key", "listen_ip": HOST, "listen_port": port},
        arrive=["smartthings.event"],
        stimulate=stimulate,
    )


def ghost2logger(stage: Stage) -> Play:
    """One sensor listens; the other asks two APIs and dispatches nothing."""

    def answer(method: str, path: str, body: bytes) -> Any:  # noqa: ARG001
        return {"host": "GUID", "pattern": ["1"]} if path == "/v1/guid" else []

    port, api = free_port(), stage.serve(Api(answer))

    def stimulate(running: Running) -> None:  # noqa: ARG001
        login = base64.b64encode(b"admin:admin").decode()
        found = {"pattern": "x", "host": HOST, "hostpattern": HOST, "message": "x"}
        send_json(f"http://{HOST}:{port}/patternmatch/", found, "PUT", {"Authorization": f"Basic {login}"})
        api.is_asked("GET /rules")

    return Play(
        sensors={"Ghost2loggerSensor": None, "Ghost2loggerLoopback": 1},
        config={
            "username": "admin",
            "password": "admin",
            "st2_api_key": "key",
            "sensor_listen_ip": HOST,
            "sensor_listen_port": str(port),
            "ghost_ip": HOST,
            "ghost_port": str(api.port),
            "st2url": f"{api.url}/rules",
        },
        arrive=["ghost2logger.pattern_match"],
        proves={"Ghost2loggerLoopback": "asks its APIs at each poll"},
        stimulate=stimulate,
    )


def service_notifications(stage: Stage) -> Play:  # noqa: ARG001
    """Amazon SNS sends JSON within JSON, as text."""
    port = free_port()
    record = {
        "eventTime": "2020-01-01T00:00:00.000Z",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventName": "ObjectCreated:Put",
        "requestParameters": {"sourceIPAddress": HOST},
        "responseElements": {"x-amz-request-id": "1"},
        "s3": {"bucket": {"name": "bucket"}},
    }

    def stimulate(running: Running) -> None:  # noqa: ARG001
        message = json.dumps({"Message": json.dumps({"Records": [record]})})
        send(f"http://{HOST}:{port}/sns", message.encode(), {"Content-Type": "text/plain"})

    return Play(
        sensors={"ServiceNotificationsSensor": None},
        config={
            "aws_access_key_id": "id",
            "aws_secret_access_key": "secret",
            "service_notifications_sensor": {"host": HOST, "port": port, "path": "/sns"},
        },
        arrive=["aws.service_notification"],
        stimulate=stimulate,
    )


def newrelic(sensor: str) -> Scenario:
    """Opened alerts are dispatched at once, closed ones when the API says that all is well.

    :param sensor: class name; both listen on one port.
    """

    def scenario(stage: Stage) -> Play:
        api, port = stage.serve(Api(_all_is_well)), free_port()

        def stimulate(running: Running) -> None:  # noqa: ARG001
            for body, kind in _alerts(legacy=sensor.startswith("Legacy")):
                send(f"http://{HOST}:{port}/st2/nrhook/", body, {"Content-Type": kind})

        return Play(
            sensors={sensor: None},
            config={
                "api_url": f"{api.url}/v2/",
                "api_key": "key",
                "sensor_config": {"host": HOST, "port": port, "url": "/st2/nrhook/", "normal_report_delay": 1},
            },
            arrive=[f"newrelic.{kind}{state}Trigger" for kind in ("WebApp", "Server") for state in ("Alert", "Normal")],
            stimulate=stimulate,
        )

    return scenario


def _all_is_well(method: str, path: str, body: bytes) -> Any:  # noqa: ARG001
    state = {"name": "sample", "health_status": "green"}
    return {"application": state, "applications": [state], "servers": [state]}


def _alerts(*, legacy: bool) -> list[tuple[bytes, str]]:
    """Bodies and content types: for applications and servers, each opened and closed."""
    if legacy:
        subjects: list[dict[str, Any]] = [{"application_name": "sample"}, {"servers": ["sample"]}]
        alerts = [
            {"severity": "critical", "long_description": text, **subject}
            for subject in subjects
            for text in ("Alert opened: sample", "Alert ended: sample")
        ]
        return [(urlencode({"alert": json.dumps(a)}).encode(), "application/x-www-form-urlencoded") for a in alerts]
    alerts = [
        {"severity": "CRITICAL", "current_state": state, "targets": [{"type": kind, "id": 1, "name": "sample"}]}
        for kind in ("Application", "Server")
        for state in ("open", "closed")
    ]
    return [(json.dumps(alert).encode(), "application/json") for alert in alerts]


SCENARIOS: dict[str, Scenario] = {
    "3p--StackStorm--st2tests-fixtures": fixtures,
    "circle_ci": circle_ci,
    "contrib--circle_ci": circle_ci,
    "contrib--newrelic": newrelic("LegacyNewRelicHookSensor"),
    "contrib--smartthings": smartthings,
    "ghost2logger": ghost2logger,
    "newrelic": newrelic("NewRelicHookSensor"),
    "smartthings": smartthings,
}
