"""Webhooks without a server: signatures, keys, rates, and the payloads of bodies."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from st2sensor.core_pack.webhooks import api_keys
from st2sensor.core_pack.webhooks.access import Access
from st2sensor.core_pack.webhooks.api_keys import MARK, MIN_REFRESH_INTERVAL, REFRESH_INTERVAL, ApiKey, ApiKeys
from st2sensor.core_pack.webhooks.hooks import Hooks
from st2sensor.core_pack.webhooks.payload import FIELDS, FORM, JSON, body_of, payload_of
from st2sensor.core_pack.webhooks.rates import Rates
from st2sensor.core_pack.webhooks.refusal import Refusal
from st2sensor.core_pack.webhooks.signatures import SCHEMES, Request
from st2sensor.errors import DatastoreUnavailable

LOGGER = logging.getLogger("webhooks")

NOW = "2026-01-31T12:00:00.000000Z"

GITHUB_SECRET, GITHUB_BODY = b"It's a Secret to Everybody", b"Hello, World!"
GITHUB_SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
"""The example in GitHub's guide to checking deliveries."""

SLACK_SECRET, SLACK_TIME = b"8f742231b10e8888abcd99yyyzzz85a5", "1531420618"
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SLACK_SIGNATURE = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
"""The example in Slack's guide to checking requests."""


def signed(scheme: str, headers: Mapping[str, str], body: bytes, now: float = 0, header: str | None = None) -> None:
    secret = {"github": GITHUB_SECRET, "slack": SLACK_SECRET}[scheme]
    SCHEMES[scheme](Request(headers=CIMultiDict(headers), body=body, now=now), secret, header)


def test_the_signature_of_githubs_guide_is_taken_and_no_other() -> None:
    signed("github", {"x-hub-signature-256": GITHUB_SIGNATURE}, GITHUB_BODY)
    signed("github", {"X-Gitea-Signature": GITHUB_SIGNATURE.partition("=")[2]}, GITHUB_BODY, header="X-Gitea-Signature")
    for shown in ("", GITHUB_SIGNATURE[:-1], "größe", GITHUB_SIGNATURE.replace("7", "8", 1)):
        with pytest.raises(Refusal, match="X-Hub-Signature-256"):
            signed("github", {"X-Hub-Signature-256": shown}, GITHUB_BODY)
    with pytest.raises(Refusal):
        signed("github", {"X-Hub-Signature-256": GITHUB_SIGNATURE}, GITHUB_BODY + b"!")


def test_the_signature_of_slacks_guide_is_taken_for_some_minutes() -> None:
    headers = {"X-Slack-Request-Timestamp": SLACK_TIME, "X-Slack-Signature": SLACK_SIGNATURE}
    for late in (-299, 0, 299):
        signed("slack", headers, SLACK_BODY, now=int(SLACK_TIME) + late)
    for late in (-301, 301):
        with pytest.raises(Refusal, match="X-Slack-Request-Timestamp"):
            signed("slack", headers, SLACK_BODY, now=int(SLACK_TIME) + late)
    with pytest.raises(Refusal, match="X-Slack-Signature"):
        signed("slack", {**headers, "X-Slack-Signature": "v0="}, SLACK_BODY, now=int(SLACK_TIME))


@pytest.mark.parametrize("sent", ["", "now", "-5", "1e9", "1" * 5000, "²", "1531420618.5"])
def test_a_time_that_is_none_is_refused(sent: str) -> None:
    with pytest.raises(Refusal, match="X-Slack-Request-Timestamp"):
        signed("slack", {"X-Slack-Request-Timestamp": sent, "X-Slack-Signature": SLACK_SIGNATURE}, SLACK_BODY)


@pytest.mark.parametrize(
    ("signatures", "reason"),
    [
        ({"hook": {"scheme": "github", "secret": ""}}, "the secret of hook is empty"),
        (
            {"hook": {"scheme": "github", "secret": "a"}, "/hook/": {"scheme": "github", "secret": "b"}},
            "a url is listed twice",
        ),
    ],
)
def test_secrets_that_protect_nothing_are_refused(signatures: dict[str, dict[str, str]], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Access(keys_of({}), signatures, "auto", "127.0.0.1")


# Keys.


def keys_of(stored: Mapping[str, str], clock: list[float] | None = None) -> ApiKeys:
    """Return API keys that read a datastore, which is unavailable if it has the key `away`."""

    async def read() -> Mapping[str, str]:
        if "away" in stored:
            raise DatastoreUnavailable("the database is away")
        return dict(stored)

    async def mark() -> None:
        stored[MARK] = "{}"  # type: ignore[index]

    return ApiKeys(read, mark, LOGGER, clock=lambda: (clock or [0.0])[0])


def test_a_key_is_stored_without_what_opens() -> None:
    key, text = api_keys.made("CI", NOW)
    assert text.startswith(f"{key.id}.")
    secret = text.partition(".")[2]
    assert secret not in key.to_text()
    assert api_keys.from_text(key.id, key.to_text()) == key
    assert key.opens(secret)
    assert not key.opens(secret[:-1])
    assert not key.opens("")
    assert not key.ended(NOW).opens(secret)


@pytest.mark.parametrize("text", ["", "[]", "5", "{}", '{"digest": 5, "note": "", "created": ""}', "[" * 100_000])
def test_a_key_that_cannot_be_read_opens_nothing_and_still_counts(text: str) -> None:
    key = api_keys.readable("abc", text)
    assert (key.note, key.revoked) == ("unreadable", "unreadable")

    async def ask() -> None:
        keys = keys_of({"abc": text})
        await keys.refresh()
        assert await keys.is_any()
        assert not await keys.is_valid("abc.")
        assert not await keys.is_valid("abc.x")

    asyncio.run(ask())


def test_a_new_key_counts_at_once_and_strangers_do_not_make_it_look_oftener_than_twice_a_second() -> None:
    key, text = api_keys.made("", NOW)
    stored: dict[str, str] = {}
    clock = [100.0]

    async def ask() -> None:
        keys = keys_of(stored, clock)
        await keys.refresh()
        assert not await keys.is_any()
        stored[key.id] = key.to_text()
        assert not await keys.is_valid(text)
        clock[0] += MIN_REFRESH_INTERVAL
        assert await keys.is_valid(text)
        assert not await keys.is_valid(f"{text}x")

    asyncio.run(ask())


def test_the_first_key_counts_at_once_and_deleting_it_admits_nobody_not_even_after_a_restart() -> None:
    key, text = api_keys.made("", NOW)
    stored: dict[str, str] = {}
    clock = [100.0]

    async def ask() -> None:
        keys = keys_of(stored, clock)
        await keys.refresh()
        assert not await keys.is_any()
        stored[key.id] = key.to_text()
        clock[0] += MIN_REFRESH_INTERVAL
        assert await keys.is_any()
        del stored[key.id]
        clock[0] += REFRESH_INTERVAL
        await keys.refresh()
        assert await keys.is_any()
        assert not await keys.is_valid(text)
        again = keys_of(stored, clock)
        await again.refresh()
        assert await again.is_any()
        assert not await again.is_valid(MARK)
        assert not await again.is_valid(f"{MARK}.")

    asyncio.run(ask())


def test_while_the_datastore_is_away_keys_are_as_they_were_seen(caplog: pytest.LogCaptureFixture) -> None:
    key, text = api_keys.made("", NOW)
    stored = {key.id: key.to_text(), "away": ""}
    clock = [100.0]

    async def ask() -> None:
        keys = keys_of(stored, clock)
        await keys.refresh()
        # The keys are unknown, so there is no answer.
        with pytest.raises(Refusal) as refused:
            await keys.is_valid(text)
        assert refused.value.status == 503
        del stored["away"]
        clock[0] += REFRESH_INTERVAL
        await keys.refresh()
        assert await keys.is_valid(text)
        stored["away"] = ""
        for _ in range(3):
            clock[0] += REFRESH_INTERVAL
            await keys.refresh()
        assert await keys.is_valid(text)

    asyncio.run(ask())
    assert caplog.text.count("the last known API keys are used") == 2


@pytest.mark.parametrize(
    ("requirement", "host", "stored", "asks"),
    [
        ("auto", "127.0.0.1", False, False),
        ("auto", "::1", False, False),
        ("auto", "localhost", False, False),
        ("auto", "127.0.0.1", True, True),
        ("auto", "0.0.0.0", False, True),
        ("auto", "::", False, True),
        ("auto", "hooks.example.com", False, True),
        ("always", "127.0.0.1", False, True),
        ("never", "0.0.0.0", True, False),
    ],
)
def test_when_a_key_is_asked_for(requirement: str, host: str, stored: bool, asks: bool) -> None:
    ended = ApiKey(id="abc", digest="", note="", created=NOW, revoked=NOW)

    async def ask() -> None:
        keys = keys_of({"abc": ended.to_text()} if stored else {})
        await keys.refresh()
        access = Access(keys, {"signed": {"scheme": "github", "secret": "hush"}}, requirement, host)
        request = make_mocked_request("POST", "/api/v1/webhooks/deploy")
        await access.check_key(request, "signed")
        if asks:
            with pytest.raises(Refusal) as refused:
                await access.check_key(request, "deploy")
            assert refused.value.status == 401
        else:
            await access.check_key(request, "deploy")

    asyncio.run(ask())


# Rates.


def test_a_url_takes_so_many_requests_a_second_and_others_are_not_held_up() -> None:
    now = [0.0]
    rates = Rates(2, clock=lambda: now[0])
    rates.take("a")
    rates.take("a")
    with pytest.raises(Refusal) as refused:
        rates.take("a")
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})
    rates.take("b")
    now[0] = 0.5
    rates.take("a")
    with pytest.raises(Refusal):
        rates.take("a")
    # Unused requests are not saved up.
    now[0] = 3600
    rates.take("a")
    rates.take("a")
    with pytest.raises(Refusal):
        rates.take("a")


def test_less_than_one_request_a_second_and_any_number() -> None:
    now = [0.0]
    rates = Rates(0.1, clock=lambda: now[0])
    rates.take("a")
    with pytest.raises(Refusal) as refused:
        rates.take("a")
    assert refused.value.headers == {"Retry-After": "10"}
    now[0] = 10
    rates.take("a")
    unlimited = Rates(0)
    for _ in range(10_000):
        unlimited.take("a")


# Bodies.


@pytest.mark.parametrize(
    ("content_type", "raw", "body"),
    [
        ("", b'{"a": 1}', {"a": 1}),
        (JSON, b"", {}),
        ("application/vnd.github+json; charset=utf-8", b"[1]", [1]),
        (" APPLICATION/JSON ", '{"a": "ö\U0001f600"}'.encode(), {"a": "ö\U0001f600"}),
        (JSON, b"[" * 200 + b"]" * 200, json.loads("[" * 200 + "]" * 200)),
        (JSON, b'{"a": 1e308}', {"a": 1e308}),
        (FORM, b"a=1&a=2&b=&c", {"a": ["1", "2"], "b": [""], "c": [""]}),
        (f"{FORM}; charset=utf-8", b"gr%C3%B6%C3%9Fe=+%26", {"größe": [" &"]}),
    ],
)
def test_bodies_are_read_by_their_type(content_type: str, raw: bytes, body: object) -> None:
    assert body_of(content_type, raw) == body


@pytest.mark.parametrize(
    ("content_type", "raw", "status", "reason"),
    [
        (JSON, b'{"a":', 400, "not valid JSON"),
        (JSON, b'{"a": 1e999}', 400, "not valid JSON"),
        (JSON, b"[" * 100_000 + b"]" * 100_000, 400, "not valid JSON"),
        (JSON, b"1" * 5000, 400, "not valid JSON"),
        (JSON, b"\xff", 400, "utf-8"),
        (FORM, b"a=%ff", 400, "not a valid form"),
        (FORM, b"a&" * (FIELDS + 1), 400, "not a valid form"),
        ("text/xml", b"<a/>", 415, "text/xml"),
        ("application/xml+jsonp", b"{}", 415, "jsonp"),
    ],
)
def test_bodies_that_are_none_are_refused_with_the_reason(
    content_type: str, raw: bytes, status: int, reason: str
) -> None:
    with pytest.raises(Refusal, match=reason) as refused:
        body_of(content_type, raw)
    assert refused.value.status == status


def test_headers_that_come_twice_are_joined_and_odd_bytes_are_harmless() -> None:
    headers = [("x-two", "a"), ("X-Two", "b"), ("COOKIE", "c=1"), ("X-Odd", "\udcff")]
    payload = payload_of(headers, {})
    assert payload["headers"] == {"X-Two": "a, b", "X-Odd": "\N{REPLACEMENT CHARACTER}"}
    assert payload["headers_lower"] == {"x-two": "a, b", "x-odd": "\N{REPLACEMENT CHARACTER}"}
    json.dumps(payload, ensure_ascii=False).encode()


# The triggers of a URL.


def hook(identifier: str, url: str) -> dict[str, object]:
    return {"id": identifier, "ref": f"core.{identifier}", "parameters": {"url": url}}


def test_a_url_stands_for_all_triggers_that_ask_for_it_as_they_are_now() -> None:
    hooks = Hooks()
    for trigger in (hook("one", "/team/Deploy/"), hook("two", "team/Deploy"), hook("three", "team")):
        hooks.put(trigger)
    assert hooks.find("team/Deploy") == ("core.one", "core.two")
    assert hooks.find("team/deploy") == ()
    hooks.put(hook("one", "moved"))
    hooks.remove(hook("three", "team"))
    assert hooks.find("team/Deploy") == ("core.two",)
    assert hooks.urls() == {"team/Deploy", "moved"}
