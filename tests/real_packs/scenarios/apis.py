"""Sensors that ask an HTTP API, or a git repository, for news."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.real_packs import environments
from tests.real_packs.stage import Play, Running, Scenario, Stage
from tests.real_packs.web import Api
from tests.support.servers.certificate import make_certificate

CERTIFICATE = "certificate.pem"
"""Folder of the certificate that an API's clients must trust."""

CREATED = "2020-01-01T00:00:00.000Z"

RISING = """\
import datetime, sys
from astral import Location
rise = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=50)
longitude = 0.0
for attempt in range(3):
    sun = Location(("name", "region", 0.0, longitude, "GMT+0", 0)).sun()
    longitude += (sun["sunrise"] - rise).total_seconds() / 240
    longitude = (longitude + 180) % 360 - 180
sys.exit(str(longitude))
"""
"""The script exits with a longitude where the sun rises within the minute."""


def git(stage: Stage) -> Play:
    """A repository with a commit, and another commit once the first is noticed."""
    repository = stage.folder / "repository"
    subprocess.run(["git", "init", "--quiet", "--initial-branch", "main", str(repository)], check=True)
    _commit(repository, "first")

    def stimulate(running: Running) -> None:
        running.arrives("git.head_sha_monitor")
        _commit(repository, "second")
        running.arrives("git.head_sha_monitor", 2)

    clone = stage.folder / "clones" / "repository"
    opts = {"url": str(repository), "branch": "main", "local_clone_path": str(clone)}
    return Play(
        sensors={"GitCommitSensor": 1},
        config={"repositories": [opts]},
        arrive=["git.head_sha_monitor"],
        stimulate=stimulate,
    )


def _commit(repository: Path, message: str) -> None:
    author = ("-c", "user.name=Author", "-c", "user.email=author@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(
        ["git", "-C", str(repository), *author, "commit", "--quiet", "--allow-empty", "--message", message], check=True
    )


def github(stage: Stage) -> Play:
    def answer(method: str, path: str, body: bytes) -> Any:  # noqa: ARG001
        owner = {"id": 1, "login": "owner", "url": f"{api.url}/users/owner"}
        known = dict.fromkeys(("name", "email", "location", "bio", "html_url"), "sample")
        event = {
            "id": "7",
            "type": "PushEvent",
            "actor": owner | known,
            "created_at": "2020-01-01T00:00:00Z",
            "payload": {"size": 1},
        }
        return {
            "/users/owner": owner,
            "/repos/owner/sample": {"id": 1, "name": "sample", "url": f"{api.url}/repos/owner/sample"},
            "/repos/owner/sample/events": [event],
        }.get(urlsplit(path).path)

    api = stage.serve(Api(answer))
    return Play(
        sensors={"GithubRepositorySensor": 1},
        config={
            "token": "token",
            "github_type": "enterprise",
            "base_url": api.url,
            "repository_sensor": {
                "event_type_whitelist": ["PushEvent"],
                "repositories": [{"user": "owner", "name": "sample"}],
            },
        },
        arrive=["github.repository_event"],
    )


def jira(stage: Stage) -> Play:
    """The payload does not fit the sensor's own schema: versions are a list, but a text is declared."""
    key, _ = make_certificate(stage.folder)
    asked: list[str] = []

    def answer(method: str, path: str, body: bytes) -> Any:  # noqa: ARG001
        parts = urlsplit(path)
        if parts.path.endswith("/search"):
            [jql] = parse_qs(parts.query)["jql"]
            asked.append(jql)
            issues = [_issue(number, api.url) for number in _new_issues(jql, first=len(asked) == 1)]
            return {"issues": issues, "total": len(issues), "startAt": 0, "maxResults": 50}
        return {
            "/rest/api/2/serverInfo": {
                "baseUrl": api.url,
                "version": "8.0.0",
                "versionNumbers": [8, 0, 0],
                "deploymentType": "Server",
            },
            "/rest/api/2/myself": {"name": "user"},
            "/rest/api/2/field": [],
            "/rest/api/2/project": [{"id": "1", "key": "SAMPLE", "name": "Sample", "self": f"{api.url}/project/1"}],
        }.get(parts.path)

    api = stage.serve(Api(answer))
    return Play(
        sensors={"JIRASensor": 1},
        config={
            "url": api.url,
            "auth_method": "basic",
            "username": "user",
            "password": "password",
            "rsa_cert_file": str(key),
            "oauth_token": "token",
            "oauth_secret": "secret",
            "consumer_key": "key",
            "project": "SAMPLE",
            "poll_interval": 1,
        },
        logged=["dispatched jira.issues_tracker, which is kept as a dead letter"],
        proves={"JIRASensor": "dispatches what its own schema forbids"},
    )


def _new_issues(jql: str, *, first: bool) -> list[int]:
    """There is one issue at first, and another one later; the newest comes first."""
    newest = 1 if first else 2
    since = re.search(r"id > (\d+)", jql)
    return list(range(newest, int(since.group(1)) if since else 0, -1))


def _issue(number: int, url: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"created": CREATED, "assignee": None, "fixVersions": [], "issuetype": {"name": "Bug"}}
    return {"id": str(number), "key": f"SAMPLE-{number}", "self": f"{url}/issue/{number}", "fields": fields}


def docker(**options: Any) -> Scenario:
    """A container that starts, and is gone later.

    :param options: options for listing containers that not every version of the sensor has.
    """

    def scenario(stage: Stage) -> Play:
        listings = iter([[], [{"Id": "c0ffee", "Names": ["/sample"]}]])

        def answer(method: str, path: str, body: bytes) -> Any:  # noqa: ARG001
            return next(listings, []) if "/containers/json" in path else None

        api = stage.serve(Api(answer))
        return Play(
            sensors={"DockerSensor": 1},
            config={
                "url": f"tcp://127.0.0.1:{api.port}",
                "version": "1.13",
                "timeout": 10,
                "ps_options": {
                    "quiet": False,
                    "trunc": True,
                    "latest": False,
                    "since": None,
                    "before": None,
                    **options,
                },
            },
            arrive=["docker.container_tracker.started", "docker.container_tracker.stopped"],
        )

    return scenario


def octopusdeploy(port: Callable[[int], int | str]) -> Scenario:
    """Once a release or a deployment exists, the sensors format its date wrongly, and dispatch nothing.

    :param port: converts the port to the type in the sensor's schema.
    """

    def scenario(stage: Stage) -> Play:
        names = ("Id", "Name", "Comments", "ReleaseId", "LastModifiedBy", "ProjectId", "ReleaseNotes", "Version")
        item = {**dict.fromkeys(names, "sample"), "Created": CREATED, "Assembled": CREATED}
        api = stage.serve(Api(lambda method, path, body: {"Items": [item]}, stage.folder))  # noqa: ARG005
        sensors = ("NewReleaseSensor", "NewDeploymentSensor")
        return Play(
            sensors=dict.fromkeys(sensors, 1),
            config={"api_key": "key", "host": "127.0.0.1", "port": port(api.port)},
            logged=["not all arguments converted during string formatting"],
            proves=dict.fromkeys(sensors, "its own code raises TypeError from the second poll on"),
        )

    return scenario


def cohesity(stage: Stage) -> Play:
    alert = {
        "id": "1:1",
        "alertCode": "CE00101",
        "alertState": "kOpen",
        "alertType": 1,
        "alertCategory": "kDisk",
        "severity": "kCritical",
        "alertDocument": dict.fromkeys(("alertName", "alertDescription", "alertCause"), "sample"),
    }

    def answer(method: str, path: str, body: bytes) -> Any:  # noqa: ARG001
        return {"accessToken": "token", "tokenType": "Bearer"} if path.endswith("/accessTokens") else [alert]

    api = stage.serve(Api(answer, stage.folder))
    return Play(
        sensors={"CohesityAlertSensor": 1},
        config={"hostname": f"127.0.0.1:{api.port}", "username": "user", "password": "password", "domain": "LOCAL"},
        arrive=["cohesity.new_alert"],
        variables={"REQUESTS_CA_BUNDLE": str(stage.folder / CERTIFICATE)},
    )


def openstack(stage: Stage) -> Play:  # noqa: ARG001
    """The sensor fails before its first request: one of its options is not in the pack's schema."""
    login = {"OS_USERNAME": "user", "OS_PASSWORD": "password", "OS_AUTH_URL": "http://127.0.0.1:1/v3"}
    return Play(
        sensors={"MessageQueueSensor": 1},
        config={"password": login, "messaging": {"queues": ["sample"]}},
        logged=["KeyError: 'OS_TENANT_ID'"],
        proves={"MessageQueueSensor": "its own code wants an option that its schema forbids"},
    )


def astral(stage: Stage) -> Play:
    """The location is on the equator, where the sun is about to rise."""
    python = environments.interpreter(stage.pack, stage.workspace)
    found = subprocess.run([python, "-I", "-c", RISING], capture_output=True, text=True, check=False).stderr.split()
    longitude = float(found[-1]) if len(found) == 1 else 0.0
    return Play(
        sensors={"AstralSunSensor": 1},
        config={"latitude": 0.0, "longitude": longitude, "timezone": "GMT+0"},
        arrive=["astral.sunrise"],
    )


SCENARIOS: dict[str, Scenario] = {
    "astral": astral,
    "cohesity": cohesity,
    "contrib--astral": astral,
    "contrib--docker": docker(limit=-1),
    "contrib--git": git,
    "contrib--jira": jira,
    "contrib--octopusdeploy": octopusdeploy(str),
    "docker": docker(),
    "git": git,
    "github": github,
    "jira": jira,
    "octopusdeploy": octopusdeploy(int),
    "openstack": openstack,
}
