"""conf/compose.yaml, as compose's rules, the image and the product have it; and the consumer next to it."""

from __future__ import annotations

import re
import shlex
from typing import Any

import yaml

import st2sensor
from st2sensor.config.options.sections import GROUPS
from tests.support.command_lines import accept
from tests.support.containerfile import parsed
from tests.support.workspace import ROOT

CONF = ROOT / "conf"
TEXT = (CONF / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
IMAGE = parsed((CONF / "Containerfile").read_text())[-1]
CONSUMER = (CONF / "compose-consumer.py").read_text()

KEYS = {
    *("image", "build", "environment", "volumes", "healthcheck", "entrypoint", "command", "restart", "depends_on"),
    *("ports", "stop_grace_period"),
}
"""Keys of a service, of those that the compose specification has."""

CONDITIONS = {"service_healthy", "service_started", "service_completed_successfully"}


def test_services_have_known_keys_and_wait_only_for_services_that_are_there() -> None:
    assert {key for key in COMPOSE if not key.startswith("x-")} == {"name", "services", "volumes"}
    for name, service in SERVICES.items():
        assert set(service) <= KEYS, name
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES
            assert how["condition"] in CONDITIONS
            assert how["condition"] != "service_healthy" or "test" in SERVICES[other]["healthcheck"]
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (CONF / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], volume


def test_no_service_waits_for_itself() -> None:
    def needed(name: str) -> set[str]:
        direct = set(SERVICES[name].get("depends_on", ()))
        return direct.union(*map(needed, direct))

    for name in SERVICES:
        assert name not in needed(name)
    assert needed("st2sensor") == {"rabbitmq", "mongodb", "register", "consumer"}


def test_our_services_run_the_image_with_settings_that_exist_and_commands_that_are_accepted() -> None:
    ours = {name: service for name, service in SERVICES.items() if "build" in service}
    assert set(ours) == {"register", "consumer", "st2sensor"}
    known = {f"ST2_{group}__{option.name}".upper() for group, options in GROUPS.items() for option in options}
    for name, service in ours.items():
        assert service["image"] == f"st2sensor:{st2sensor.__version__}"
        assert (CONF / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        if name != "consumer":
            assert set(service["environment"]) <= known
            (entry,) = IMAGE.of("ENTRYPOINT")
            words: list[str] = service.get("entrypoint", entry.words) + service.get("command", [])
            accept(words[0], words[1:])
    (volume,) = IMAGE.of("VOLUME")
    assert f"state:{volume.text}" in SERVICES["st2sensor"]["volumes"]


def test_only_this_machine_reaches_it_and_the_page_needs_the_token_of_the_comment() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    settings = SERVICES["st2sensor"]["environment"]
    (address,) = re.findall(r"http://(\S+)/\?token=(\S+)\.", TEXT)
    assert address == ("127.0.0.1:9105", settings["ST2_SENSORCONTAINER__HTTP_TOKEN"])
    assert settings["ST2_SENSORCONTAINER__HTTP"].endswith(ports[0].rpartition(":")[2])
    (command,) = re.findall(r"docker (compose .*)", TEXT)
    assert shlex.split(command)[:3] == ["compose", "-f", "conf/compose.yaml"]


def test_the_consumer_has_fifteen_lines_and_logs_in_as_the_broker_says() -> None:
    assert len(CONSUMER.splitlines()) <= 15
    broker = SERVICES["rabbitmq"]["environment"]
    login = f"amqp://{broker['RABBITMQ_DEFAULT_USER']}:{broker['RABBITMQ_DEFAULT_PASS']}@rabbitmq:5672//"
    assert SERVICES["consumer"]["environment"]["BROKER"] == login
    assert SERVICES["st2sensor"]["environment"]["ST2_MESSAGING__URL"] == login
