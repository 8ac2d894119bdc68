"""Webhooks without a custom sensor: what is posted becomes triggers, and what is refused does not."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import urlencode

import pytest

from st2sensor.core_pack.webhooks.server import MAX_DISPATCHES
from tests.plugins.patience import LATER, SOON
from tests.support.servers.certificate import make_certificate
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.ports import free_port
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.waiting import eventually
from tests.support.webhooks import FORM, Answer, Endpoint, certificate_context
from tests.support.workspace import Container, Workspace

SECRET = "It's a Secret to Everybody"

PING = {"zen": "Keep it logically awesome.", "hook_id": 42, "hook": {"type": "Repository", "active": True}}
PUSH = {
    "ref": "refs/heads/main",
    "before": "0" * 40,
    "after": "1" * 40,
    "repository": {"id": 1, "full_name": "octo-org/octo-repo", "private": False},
    "pusher": {"name": "octocat", "email": "octocat@example.com"},
    "commits": [{"id": "1" * 40, "message": "Größe: 100 % \U0001f600", "distinct": True}],
    "head_commit": None,
}
ISSUES = {"action": "opened", "issue": {"number": 73, "title": "Spelling", "labels": []}, "sender": {"id": 21031067}}


def github(event: str, body: bytes, secret: str = SECRET) -> dict[str, str]:
    """The headers of a delivery, as GitHub documents them."""
    key = secret.encode()
    return {
        "User-Agent": "GitHub-Hookshot/044aadd",
        "Content-Type": "application/json",
        "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "X-GitHub-Event": event,
        "X-GitHub-Hook-ID": "292430182",
        "X-GitHub-Hook-Installation-Target-ID": "79929171",
        "X-GitHub-Hook-Installation-Target-Type": "repository",
        "X-Hub-Signature": "sha1=" + hmac.new(key, body, hashlib.sha1).hexdigest(),
        "X-Hub-Signature-256": "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest(),
    }


@pytest.fixture
def real(folder, mongo_server: MongoDB, rabbit_server: RabbitMQ) -> Iterator[Workspace]:  # type: ignore[no-untyped-def]
    workspace = Workspace(folder, database=mongo_server.url, messaging=rabbit_server.url)
    yield workspace
    workspace.close()


def hook_of(workspace: Workspace, url: str) -> str:
    """The reference of the trigger that a rule for a URL has made."""
    triggers = workspace.documents("trigger_d_b")
    return next(str(item["ref"]) for item in triggers if item.get("parameters") == {"url": url})


def test_github_deliveries_become_triggers(real: Workspace) -> None:
    endpoint = Endpoint(real, signatures={"github": {"scheme": "github", "secret": SECRET}})
    endpoint.ask_for("github")
    seen = real.listen()
    endpoint.start()
    for event, delivery in {"ping": PING, "push": PUSH, "issues": ISSUES}.items():
        body = json.dumps(delivery).encode()
        answer = endpoint.post("github", body, github(event, body))
        assert (answer.status, json.loads(answer.text)) == (202, delivery)
    arrived = seen.wait_for(hook_of(real, "github"), 3)
    assert [message.payload["body"] for message in arrived] == [PING, PUSH, ISSUES]
    headers = [message.payload["headers"] for message in arrived]
    # As StackStorm's servers write names of headers, which rules go by.
    assert [item["X-Github-Event"] for item in headers] == ["ping", "push", "issues"]
    assert arrived[0].payload["headers_lower"]["x-github-delivery"] == "72d3162e-cc78-11e3-81ab-4c9367dc0958"


def test_what_github_has_not_signed_is_refused(real: Workspace) -> None:
    endpoint = Endpoint(real, signatures={"/github/": {"scheme": "github", "secret": SECRET}})
    endpoint.ask_for("github")
    seen = real.listen()
    endpoint.start()
    body = json.dumps(PUSH).encode()
    signed = github("push", body)
    unsigned = {name: value for name, value in signed.items() if name != "X-Hub-Signature-256"}
    refused = [
        endpoint.post("github", body, unsigned),
        endpoint.post("github", body.replace(b"main", b"evil"), signed),
        endpoint.post("github", body, github("push", body, "another")),
        endpoint.post("github", body, {**signed, "X-Hub-Signature-256": "sha256=größe"}),
    ]
    assert [answer.status for answer in refused] == [401] * 4
    assert "X-Hub-Signature-256" in refused[0].reason
    assert endpoint.post("github", body, signed).status == 202
    assert len(seen.wait_for(hook_of(real, "github"))) == 1


def test_slack_forms_become_triggers(real: Workspace) -> None:
    endpoint = Endpoint(real, signatures={"slack": {"scheme": "slack", "secret": "8f742231b10e8888abcd99yyyzzz85a5"}})
    endpoint.ask_for("slack")
    seen = real.listen()
    endpoint.start()
    body = urlencode({"command": "/deploy", "text": "now & then", "user_name": "roadrunner"}).encode()

    def signed(at: float) -> dict[str, str]:
        text = b"v0:%d:%b" % (int(at), body)
        signature = hmac.new(b"8f742231b10e8888abcd99yyyzzz85a5", text, hashlib.sha256).hexdigest()
        return {**FORM, "X-Slack-Request-Timestamp": str(int(at)), "X-Slack-Signature": f"v0={signature}"}

    old = endpoint.post("slack", body, signed(time.time() - 3600))
    assert old.status == 401
    assert "X-Slack-Request-Timestamp" in old.reason
    assert endpoint.post("slack", body, signed(time.time())).status == 202
    (message,) = seen.wait_for(hook_of(real, "slack"))
    assert message.payload["body"] == {"command": ["/deploy"], "text": ["now & then"], "user_name": ["roadrunner"]}


@pytest.fixture
def site(embedded: Workspace) -> tuple[Endpoint, Container]:
    endpoint = Endpoint(embedded, "max_size = 1000")
    endpoint.ask_for("deploy", "/team/Deploy/")
    return endpoint, endpoint.start()


def json_of(text: bytes) -> Callable[[Endpoint], Answer]:
    return lambda endpoint: endpoint.post("deploy", text)


REFUSED: dict[str, tuple[Callable[[Endpoint], Answer], int, str]] = {
    "an unknown url": (lambda endpoint: endpoint.post("other"), 404, "no rule asks for webhook other"),
    "another case": (lambda endpoint: endpoint.post("Deploy"), 404, "webhook Deploy"),
    "no url": (lambda endpoint: endpoint.send("POST", "/api/v1/webhooks/", b"{}"), 404, ""),
    "a method": (lambda endpoint: endpoint.send("GET", "/api/v1/webhooks/deploy"), 405, ""),
    "half an object": (json_of(b'{"a":'), 400, "not valid JSON"),
    "latin-1": (json_of('{"a": "ö"}'.encode("latin-1")), 400, "utf-8"),
    "not a number": (json_of(b'{"a": NaN}'), 400, "NaN"),
    "more than a number holds": (json_of(b'{"a": 1e999}'), 400, "not valid JSON"),
    "half a pair of surrogates": (json_of(b'{"a": "\\ud800"}'), 400, "surrogate"),
    "a string": (json_of(b'"text"'), 400, "an object, an array or a form"),
    "null": (json_of(b"null"), 400, "an object, an array or a form"),
    "depth": (json_of(b"[" * 900), 400, "not valid JSON"),
    "a long body": (json_of(b'{"a": "%b"}' % (b"x" * 1000)), 413, "1000 bytes"),
    "plain text": (
        lambda endpoint: endpoint.post("deploy", b"a", {"Content-Type": "text/plain"}),
        415,
        "text/plain",
    ),
    "a form that is none": (lambda endpoint: endpoint.post("deploy", b"a=%ff", FORM), 400, "not a valid form"),
}


def test_what_is_no_webhook_is_refused_with_the_reason(site: tuple[Endpoint, Container]) -> None:
    endpoint, container = site
    seen = endpoint.workspace.listen()
    for what, (send, status, reason) in REFUSED.items():
        answer = send(endpoint)
        assert answer.status == status, (what, answer)
        assert reason in answer.reason, (what, answer)
    # In a header, and in pieces.
    chunked = endpoint.send("POST", "/api/v1/webhooks/deploy", None, {"Transfer-Encoding": "nonsense"})
    assert chunked.status == 400
    assert endpoint.post("deploy", {"last": True}).status == 202
    hook = hook_of(endpoint.workspace, "deploy")
    assert [message.payload["body"] for message in seen.wait_for(hook)] == [{"last": True}]
    # Nor does what was sent look like lines of the log.
    assert endpoint.post("x%0a2026-01-01%20ERROR%20forged").status == 404
    assert not [line for line in container.log.splitlines() if line.startswith("2026-01-01")]
    # The document is given to who says an odd name of the host, too.
    assert endpoint.send("GET", "/api/v1/openapi.json", None, {"Host": "]["}).status in (200, 400)
    assert "core.WebhookSensor" in container.wrappers()
    assert "Traceback" not in container.log


def test_what_is_nested_deeply_arrives(site: tuple[Endpoint, Container]) -> None:
    endpoint, _ = site
    seen = endpoint.workspace.listen()
    nested = b"[" * 400 + b"]" * 400
    assert endpoint.post("deploy", nested).status == 202
    (message,) = seen.wait_for(hook_of(endpoint.workspace, "deploy"))
    assert message.payload["body"] == json.loads(nested)


def test_a_signature_of_a_url_that_nobody_asks_for_is_said(embedded: Workspace) -> None:
    endpoint = Endpoint(embedded, signatures={"Deploy": {"scheme": "github", "secret": SECRET}})
    endpoint.ask_for("deploy")
    endpoint.start().wait_for_log("signatures: no rule asks for webhook Deploy; case matters")


def test_urls_are_found_as_stackstorm_finds_them(site: tuple[Endpoint, Container]) -> None:
    endpoint, _ = site
    seen = endpoint.workspace.listen()
    for path in ("/api/v1/webhooks/team/Deploy", "/api/v1/webhooks//team/Deploy/", "/v1/webhooks/team%2FDeploy"):
        assert endpoint.send("POST", path, b'["one", 2]').status == 202, path
    hook = hook_of(endpoint.workspace, "/team/Deploy/")
    assert [message.payload["body"] for message in seen.wait_for(hook, 3)] == [["one", 2]] * 3


def test_credentials_and_the_trace_tag_are_no_part_of_the_payload(site: tuple[Endpoint, Container]) -> None:
    endpoint, _ = site
    seen = endpoint.workspace.listen()
    secret = {"St2-Api-Key": "hush", "x-auth-token": "hush", "Cookie": "hush=1"}
    assert endpoint.post("deploy", {}, {**secret, "St2-Trace-Tag": "release-7", "X-Two": "a"}).status == 202
    assert endpoint.post("deploy", b"").status == 202
    tagged, untagged = seen.wait_for(hook_of(endpoint.workspace, "deploy"), 2)
    assert "hush" not in tagged.raw.decode()
    assert tagged.body["trace_context"]["trace_tag"] == "release-7"
    assert "St2-Trace-Tag" not in tagged.payload["headers"]
    assert tagged.payload["headers"]["X-Two"] == "a"
    assert untagged.body["trace_context"]["trace_tag"].startswith("webhook-deploy-")
    assert untagged.payload["body"] == {}


def test_rules_that_come_and_go_open_and_close_urls(site: tuple[Endpoint, Container]) -> None:
    endpoint, _ = site
    workspace = endpoint.workspace
    triggers = ("--config-file", str(workspace.config), "triggers")
    added = workspace.run("st2sensor", *triggers, "add", "core.st2.webhook", "url=new")
    assert added.returncode == 0, added.stderr
    eventually("the url is open", lambda: endpoint.post("new").status == 202)
    removed = workspace.run("st2sensor", *triggers, "remove", added.stdout.split()[0])
    assert removed.returncode == 0, removed.stderr
    eventually("the url is closed", lambda: endpoint.post("new").status == 404)


def test_keys_open_the_door_from_the_first_one_on(embedded: Workspace) -> None:
    endpoint = Endpoint(embedded)
    endpoint.ask_for("deploy")
    endpoint.start()
    assert endpoint.post("deploy").status == 202
    made = endpoint.apikey("create", "--note", "team A")
    eventually("keys are asked for", lambda: endpoint.post("deploy").status == 401)
    assert "St2-Api-Key" in endpoint.post("deploy").reason
    key = made["key"]
    for headers in ({"St2-Api-Key": key}, {"X-Auth-Token": key}):
        assert endpoint.post("deploy", {}, headers).status == 202
    assert endpoint.post(f"deploy?st2-api-key={key}").status == 202
    for wrong in (key[:-1], f"{key}x", "x", made["id"], f"{made['id']}."):
        assert endpoint.post("deploy", {}, {"St2-Api-Key": wrong}).status == 401
    # Whether a url exists is not told.
    assert endpoint.post("other").status == 401
    second = endpoint.apikey("create")
    # The pause after the last look may not be over.
    eventually("it counts", lambda: endpoint.post("deploy", {}, {"St2-Api-Key": second["key"]}).status == 202)
    stored = json.dumps(embedded.documents("key_value_pair_d_b"))
    assert key.partition(".")[2] not in stored
    for item in (made, second):
        endpoint.apikey("revoke", item["id"])

    def is_revoked() -> bool:
        """Another key, which is unknown, has the sensor look."""
        assert endpoint.post("deploy", {}, {"St2-Api-Key": "x"}).status == 401
        return endpoint.post("deploy", {}, {"St2-Api-Key": key}).status == 401

    eventually("it is revoked", is_revoked)
    assert endpoint.post("deploy").status == 401
    listed = {item["id"]: item for item in endpoint.apikey("list")}
    assert listed[made["id"]]["note"] == "team A"
    assert listed[made["id"]]["revoked"]


def test_a_key_that_cannot_be_read_is_listed_and_opens_nothing(embedded: Workspace) -> None:
    endpoint = Endpoint(embedded)
    endpoint.ask_for("deploy")
    stored = ("key", "set", "core.WebhookSensor:api_key.abc", "nonsense")
    done = embedded.run("st2sensor", "--config-file", str(embedded.config), *stored)
    assert done.returncode == 0, done.stderr
    endpoint.start()
    eventually("keys are asked for", lambda: endpoint.post("deploy").status == 401)
    assert endpoint.post("deploy", {}, {"St2-Api-Key": "abc.x"}).status == 401
    (listed,) = endpoint.apikey("list")
    assert (listed["id"], listed["note"], listed["revoked"]) == ("abc", "unreadable", "unreadable")


def test_a_key_is_always_asked_for_where_that_is_configured(embedded: Workspace) -> None:
    endpoint = Endpoint(embedded, "require_key = always")
    endpoint.ask_for("deploy")
    endpoint.start()
    assert endpoint.post("deploy").status == 401
    key = endpoint.apikey("create")["key"]
    eventually("it counts", lambda: endpoint.post("deploy", {}, {"St2-Api-Key": key}).status == 202)


def test_a_listener_beyond_loopback_asks_for_keys(embedded: Workspace) -> None:
    endpoint = Endpoint(embedded, "host = 0.0.0.0")
    endpoint.ask_for("deploy")
    endpoint.start()
    assert endpoint.post("deploy").status == 401


def test_one_url_too_often_is_refused_and_others_are_not(embedded: Workspace) -> None:
    endpoint = Endpoint(embedded, "rate_limit = 0.5")
    endpoint.ask_for("deploy", "other")
    endpoint.start()
    assert endpoint.post("deploy").status == 202
    # On a slow machine one may come after the pause.
    refused = eventually(
        "one is refused", lambda: answer if (answer := endpoint.post("deploy")).status != 202 else None
    )
    assert refused is not None
    assert refused.status == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 2
    assert endpoint.post("other").status == 202
    eventually("it is taken again", lambda: endpoint.post("deploy").status == 202)


def test_tls(embedded: Workspace) -> None:
    key, certificate = make_certificate(embedded.folder)
    endpoint = Endpoint(embedded, f"tls_certificate_file = {certificate}\ntls_key_file = {key}")
    endpoint.ask_for("deploy")
    endpoint.tls = certificate_context(certificate)
    container = endpoint.start()
    assert "listening at https://" in container.log
    assert endpoint.post("deploy", {"over": "TLS"}).status == 202


def test_an_address_that_is_taken_is_said_and_tried_again(embedded: Workspace) -> None:
    endpoint = Endpoint(embedded, extra="restart_delay = 0.2")
    endpoint.ask_for("deploy")
    with socket.create_server(("127.0.0.1", endpoint.port)):
        container = embedded.start()
        container.wait_for_log(f"[webhooks]: cannot listen at 127.0.0.1:{endpoint.port}")
    container.wait_for_log("listening at http")
    eventually("it is taken", lambda: endpoint.post("deploy").status == 202)


def test_clients_that_dawdle_or_babble_are_cut_off_and_harm_nobody(embedded: Workspace) -> None:
    endpoint = Endpoint(embedded, "timeout = 2")
    endpoint.ask_for("deploy")
    container = endpoint.start()
    address = ("127.0.0.1", endpoint.port)

    def is_served(number: int) -> bool:
        """On a slow machine a client may dawdle without wanting to."""
        with suppress(ConnectionError):
            return endpoint.post("deploy", {"n": number}).status == 202
        return False

    slow = [socket.create_connection(address, timeout=SOON) for _ in range(300)]
    for number, client in enumerate(slow):
        # Some say nothing at all, some half a head, some a head and half a body; on a slow machine it may be too late.
        with suppress(ConnectionError):
            client.sendall(
                (
                    b"",
                    b"POST /api/v1/webhooks/deploy HTTP/1.1\r\nHost: x\r\nX-A",
                    b"POST /api/v1/webhooks/deploy HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{",
                )[number % 3]
            )
    eventually("others are served", lambda: is_served(1))
    for head in (b"X-Long: " + b"x" * 100_000, b"\r\n".join(b"X-%d: x" % number for number in range(5000))):
        with socket.create_connection(address, timeout=SOON) as client:
            # It answers, and hangs up, before it has read all.
            with suppress(ConnectionError):
                client.sendall(b"POST /api/v1/webhooks/deploy HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
            assert b" 400 " in client.recv(100)
    eventually("others are served", lambda: is_served(2))
    with socket.create_connection(address, timeout=SOON) as client:
        client.sendall(b"POST /api/v1/webhooks/deploy HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
    container.wait_for_log("400 the client hung up before the body had arrived")
    for client in slow:
        with client, suppress(ConnectionError):
            answer = client.recv(1000)
            assert answer == b"" or b" 408 " in answer, answer
    eventually("others are served", lambda: is_served(3))
    assert "Traceback" not in container.log
    assert "core.WebhookSensor" in container.wrappers()
    assert container.log.count("core.WebhookSensor started") == 1


def test_a_stop_answers_what_was_asked(site: tuple[Endpoint, Container]) -> None:
    endpoint, container = site
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=SOON) as client:
        head = b"POST /api/v1/webhooks/deploy HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        client.sendall(head)
        # The server is inside the request now.
        assert client.recv(100).startswith(b"HTTP/1.1 100")
        container.process.terminate()
        container.wait_for_log("stopping")
        client.sendall(b"{}")
        assert client.recv(100).startswith(b"HTTP/1.1 202")
    assert container.process.wait(SOON) == 0
    with pytest.raises(ConnectionError):
        endpoint.post("deploy")


@pytest.mark.soak
def test_keys_are_checked_while_every_dispatch_waits_for_room(embedded: Workspace) -> None:
    embedded.messaging = f"amqp://guest:guest@127.0.0.1:{free_port()}/"
    endpoint = Endpoint(embedded, "require_key = always\n[outbox]\nmax_size = 1")
    endpoint.workspace.add_rule("hooks", "rule0", "core.st2.webhook", url="hook")
    embedded.reload()
    key = endpoint.apikey("create")
    container = endpoint.start()
    shown = {"St2-Api-Key": key["key"]}
    with ThreadPoolExecutor(MAX_DISPATCHES + 8) as posts:
        waiting = [posts.submit(endpoint.post, "hook", {}, shown) for _ in range(MAX_DISPATCHES + 8)]
        container.wait_for_log("is full with")
        assert endpoint.post("hook", {}, {"St2-Api-Key": "00000000.x"}).status == 401
        endpoint.apikey("revoke", key["id"])
        # Who is let in is told that there is no such hook.
        eventually("the revoked key is refused", lambda: endpoint.post("no/hook", {}, shown).status == 401)
        assert container.stop(LATER) == 0
        # Who waits is told to send it again.
        assert {answer.result(SOON).status for answer in waiting} <= {202, 503}
