"""URLs of brokers and databases: their meaning, and that no password is ever shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from st2sensor import config
from st2sensor.config.brokers import broker_url
from st2sensor.config.urls import shown, without_secrets
from st2sensor.errors import BrokerUnavailable, ConfigError
from st2sensor.settings import Settings, Tls
from st2sensor.transport.amqp.connection import Broker
from tests.unit.config.test_loading import load

MARK = "HUNTER"
"""No URL in the tests contains it outside of its password."""

PASSWORDS = st.text("ab1:@/?#[]%&=;, +\\'\"\té", max_size=12).map(lambda text: f"{MARK}{text}{MARK}")
HOSTS = st.sampled_from(["127.0.0.1", "rabbit", "a.example:5671", "[::1]:5672", "[::1]"])


@st.composite
def urls(draw: st.DrawFn) -> str:
    password = draw(PASSWORDS)
    encoded = quote(password, safe="") if draw(st.booleans()) else password
    scheme = draw(st.sampled_from(["amqp", "amqps", "pyamqp", "mongodb", "kafka"]))
    rest = draw(st.sampled_from(["", "/", "//", "/vhost", "/?ssl=true", "//?bad=1", "/a%2Fb", ":x//"]))
    return f"{scheme}://me:{encoded}@{draw(HOSTS)}{rest}"


LISTS = st.tuples(st.lists(urls(), min_size=1, max_size=3), st.sampled_from([",", ";", ", ", "; ", " ", "\n"]))


@given(LISTS)
@example(([f"amqp://me:{MARK},;{MARK}@a", f"amqp://me:{MARK} {MARK}@b"], ";"))
def test_no_password_is_ever_shown(drawn: tuple[list[str], str]) -> None:
    found, separator = drawn
    whole = separator.join(found)
    assert MARK not in shown(whole)
    assert MARK not in shown(*found)
    # As oslo.config splits a list.
    assert MARK not in shown(*whole.split(","))


def loaded(file: Path) -> tuple[Settings | None, str]:
    """Return the settings, or why there are none."""
    try:
        return config.load([str(file)]), ""
    except ConfigError as error:
        return None, str(error)


@given(LISTS, st.sampled_from(["url", "cluster_urls"]))
def test_no_error_of_a_configuration_quotes_a_password(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[list[str], str], key: str
) -> None:
    found, separator = drawn
    file = tmp_path_factory.mktemp("conf") / "st2.conf"
    file.write_text(f"[messaging]\n{key} = {separator.join(found).replace(chr(10), ' ')}\n")
    settings, refusal = loaded(file)
    if settings is None:
        assert MARK not in refusal
        assert "[messaging]" in refusal
        return
    assert MARK not in "".join(settings.warnings)
    broker = Broker(urls=settings.messaging.urls, tls=settings.messaging.tls)
    assert MARK not in broker.address
    with pytest.raises(BrokerUnavailable) as caught, broker.failures():
        raise OSError(f"the broker says {settings.messaging.urls} {json.dumps(settings.messaging.urls)}")
    assert MARK not in str(caught.value)


@given(st.sampled_from(["connection", "host"]), urls())
def test_no_error_of_a_database_url_quotes_a_password(
    tmp_path_factory: pytest.TempPathFactory, key: str, url: str
) -> None:
    file = tmp_path_factory.mktemp("conf") / "st2.conf"
    file.write_text(f"[database]\n{key} = {re.sub(r'^[a-z]+', 'mongodb', url)}\n")
    _, refusal = loaded(file)
    assert MARK not in refusal


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("amqp://guest:guest@127.0.0.1:5672//", "amqp://guest:**@127.0.0.1:5672//"),
        ("amqp://guest:one@a//;amqp://guest:two@b//", "amqp://guest:**@a//, amqp://guest:**@b//"),
        ("amqp://a:5672/v?ssl=true", "amqp://a:5672/v"),
        ("amqp://me@a", "amqp://me@a"),
        ("amqp://me:p/q@a//", "amqp://***@a//"),
        ("amqp://me:secret", "amqp://***"),
        ("secret@host", "***"),
        ("mongodb://me:pw@a:1,b:2/db?authSource=x", "mongodb://me:**@a:1,b:2/db"),
        ("sqlite:////var/lib/a@b.db", "sqlite:////var/lib/a@b.db"),
    ],
)
def test_urls_are_shown_as_people_know_them(url: str, text: str) -> None:
    assert shown(url) == text


def test_a_password_that_is_the_users_name_leaves_texts_alone() -> None:
    assert without_secrets("user 'guest'", ["amqp://guest:guest@a"]) == "user 'guest'"
    assert without_secrets("no p@ss here", ["amqp://me:p%40ss@a"]) == "no *** here"


def messaging(tmp_path: Path, text: str) -> Tls | None:
    settings = load(tmp_path, f"[messaging]\n{text}\n").messaging
    return broker_url(settings.urls[0], settings.tls, settings.login_method).tls


@pytest.mark.parametrize(
    ("text", "verify", "names"),
    [
        ("url = amqp://a", None, None),
        ("url = amqps://a", "none", True),
        ("url = amqp://a/?ssl=true", "none", True),
        ("url = amqp://a/?ssl=false\nssl = true", None, None),
        ("url = amqp://a/?ssl=0\nssl_cert_reqs = required", None, None),
        ("url = amqps://a/?ssl_cert_reqs=CERT_REQUIRED", "required", True),
        ("url = amqps://a\nssl_cert_reqs = optional", "optional", True),
        ("url = amqps://a\nssl_cert_reqs = required\nssl_check_hostname = false", "required", False),
        ("url = amqps://a/?ssl_cert_reqs=required\nssl_check_hostname = false", "required", False),
        ("url = amqp://a\nssl_check_hostname = false", None, None),
        ("url = amqps://a/?ssl_check_hostname=false\nssl_cert_reqs = required", "required", False),
    ],
)
def test_tls_is_as_the_url_and_the_keys_say(tmp_path: Path, text: str, verify: str | None, names: bool | None) -> None:
    tls = messaging(tmp_path, text)
    assert (tls and tls.verify, tls and tls.check_hostname) == (verify, names)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("amqp://me:hush@a/?verify=verify_peer", ["'verify'", "ssl_cert_reqs"]),
        ("amqp://me:hush@a/?ssl=maybe", ["ssl", "true or false"]),
        ("amqps://me:hush@a/?ssl=false", ["exclude each other"]),
        ("amqp://me:hush@a/?ssl=true&ssl=false", ["twice"]),
        ("amqp://me:hush@a/?heartbeat=never", ["heartbeat", "seconds"]),
        ("amqp://me:hush@a/?connect_timeout=1e9", ["connect_timeout", "seconds"]),
        ("amqp://me:hush@a/?ssl_ca_certs=/no/such", ["ssl_ca_certs", "there is no file /no/such"]),
        ("amqp://me:hush@a/?ssl_cert_reqs=perhaps", ["ssl_cert_reqs"]),
        ("amqp://me:hush@a/?login_method=MAGIC", ["login_method", "PLAIN"]),
        ("amqp://me:hush@a/?password=hush", ["'password'"]),
        ("amqp://me:hush@a,b", ["not the URL of a broker"]),
    ],
)
def test_what_is_wrong_in_a_url_is_an_error_that_names_it(tmp_path: Path, url: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"[messaging]\nurl = {url}\n")
    for word in ["[messaging] url", *words]:
        assert word in str(caught.value)
    assert "hush" not in str(caught.value).replace("'password'", "")


@pytest.mark.parametrize("key", ["ssl_keyfile", "ssl_certfile", "ssl_ca_certs"])
def test_a_missing_tls_file_is_named_with_its_key(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"\[messaging\] {key}: there is no file .*/no-such\.pem"):
        load(tmp_path, f"[messaging]\n{key} = no-such.pem\n")


def test_tls_that_checks_nothing_is_warned_about_for_each_url(tmp_path: Path) -> None:
    text = "[messaging]\ncluster_urls = amqps://me:hush@a,amqps://me:hush@b/?ssl_cert_reqs=required,amqp://c\n"
    (warning,) = load(tmp_path, text).warnings
    assert "amqps://me:**@a: the broker's certificate is not checked" in warning
    (warning,) = load(
        tmp_path, "[messaging]\nurl = amqps://a\nssl_cert_reqs = required\nssl_check_hostname = no\n"
    ).warnings
    assert "the host name in the broker's certificate is not checked" in warning


def test_parts_of_a_url_are_decoded() -> None:
    found = broker_url("amqp://a%40b:c%2Fd@[::1]:5/v%2Fw?heartbeat=5&connect_timeout=3&login_method=PLAIN", None, None)
    assert (found.user, found.password, found.host, found.port) == ("a@b", "c/d", "::1", 5)
    assert (found.virtual_host, found.heartbeat, found.connect_timeout) == ("v/w", 5, 3)
    assert (found.tls, found.login_method) == (None, "PLAIN")
    assert broker_url("amqps://a//", None, None).port == 5671
    assert broker_url("amqp://", None, None).host == "localhost"
    assert broker_url("amqp://a//", None, None).virtual_host == "/"
