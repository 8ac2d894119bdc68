"""Certificates that a broker may present."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from amqp import exceptions

from st2sensor.errors import BrokerUnavailable
from st2sensor.settings import Tls
from st2sensor.transport.amqp import connection
from st2sensor.transport.amqp.connection import Broker
from st2sensor.transport.amqp.transport import AmqpTransport
from st2sensor.transport.topology import Topology
from tests.support.servers.amqp import FakeBroker
from tests.support.servers.certificate import make_certificate


@pytest.fixture(scope="module", params=["IP:127.0.0.1", "DNS:localhost", "DNS:other.example"])
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, int]]:
    """A broker's certificate: the name for which it was issued, its file, and the broker's port."""
    key, certificate = make_certificate(tmp_path_factory.mktemp("tls"), request.param)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with closing(FakeBroker(context=context)) as broker:
        yield request.param, certificate, broker.port


def connects(urls: tuple[str, ...], tls: Tls) -> bool:
    with closing(AmqpTransport(Broker(urls=urls, tls=tls), Topology("st2")).publisher()) as publisher:
        try:
            publisher.connect()
        except BrokerUnavailable as error:
            assert "certificate" in str(error)  # noqa: PT017 (either may happen)
            return False
        return True


@pytest.mark.parametrize("verify", ["required", "optional"])
def test_the_name_in_the_certificate_has_to_be_the_urls(shown: tuple[str, Path, int], verify: str) -> None:
    name, certificate, port = shown
    tls = Tls(key_file=None, certificate_file=None, ca_file=str(certificate), verify=verify)
    for host in ("127.0.0.1", "localhost"):
        assert connects((f"amqp://{host}:{port}//",), tls) is name.endswith(f":{host}")
    # Each member of a cluster is checked for its own name.
    both = (f"amqp://127.0.0.1:{port}//", f"amqps://localhost:{port}//")
    assert connects(both, tls) is (name != "DNS:other.example")
    assert connects(tuple(reversed(both)), tls) is (name != "DNS:other.example")


def test_an_explicit_option_takes_any_name_of_the_same_authority(shown: tuple[str, Path, int]) -> None:
    _, certificate, port = shown
    lax = Tls(key_file=None, certificate_file=None, ca_file=str(certificate), verify="required", check_hostname=False)
    assert connects((f"amqp://127.0.0.1:{port}//",), lax)
    strict = Tls(key_file=None, certificate_file=None, ca_file=str(certificate), verify="required")
    assert connects((f"amqp://127.0.0.1:{port}//?ssl_check_hostname=false",), strict)
    unknown = Tls(key_file=None, certificate_file=None, ca_file=None, verify="required", check_hostname=False)
    assert not connects((f"amqp://127.0.0.1:{port}//",), unknown)


@pytest.mark.parametrize("step", ["connect", "start", "tune"])
def test_a_broker_that_is_silent_in_tls_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: str) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 0.5)
    key, certificate = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with closing(FakeBroker(step, context=context)) as broker:
        tls = Tls(key_file=None, certificate_file=None, ca_file=str(certificate), verify="required")
        publisher = AmqpTransport(Broker(urls=(broker.url,), tls=tls), Topology("st2")).publisher()
        with pytest.raises(BrokerUnavailable, match="in time"):
            publisher.connect()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            exceptions.AccessRefused("ACCESS_REFUSED - Login was refused using mechanism AMQPLAIN", (0, 0), None, 403),
            "ACCESS_REFUSED - Login was refused using mechanism AMQPLAIN; check user and password in [messaging] url",
        ),
        (
            exceptions.NotAllowed("NOT_ALLOWED - vhost nowhere not found", (10, 40), None, 530),
            "NOT_ALLOWED - vhost nowhere not found; check the virtual host in [messaging] url: does it exist, and may "
            "this user use it?",
        ),
        (
            exceptions.AccessRefused("ACCESS_REFUSED - access to exchange 'x' in vhost '/' refused", (60, 40)),
            "ACCESS_REFUSED - access to exchange 'x' in vhost '/' refused; give this user the permission, with "
            "rabbitmqctl set_permissions",
        ),
        (exceptions.NotFound("NOT_FOUND - no queue 'q'", (50, 10)), "NOT_FOUND - no queue 'q'"),
    ],
)
def test_a_refusal_of_the_broker_comes_with_a_remedy(error: Exception, told: str) -> None:
    with pytest.raises(BrokerUnavailable) as raised, Broker(urls=("amqp://me:hush@h//",)).failures():
        raise error
    assert str(raised.value).endswith(f" answers but refuses: {told}")
    assert "hush" not in str(raised.value)
