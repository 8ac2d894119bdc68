"""Signatures."""

from __future__ import annotations

import pytest

from st2sensor.push.signature import secret_of, signed

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_published_example_has_the_published_signature() -> None:
    # Source: the tests of the reference libraries of Standard Webhooks.
    body = b'{"test": 2432232314}'
    assert signed([secret_of(SECRET)], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_several_secrets_give_several_signatures() -> None:
    first, second = b"a" * 24, b"b" * 24
    both = signed([first, second], "m", 1, b"{}")["webhook-signature"].split(" ")
    assert both == [signed([one], "m", 1, b"{}")["webhook-signature"] for one in (first, second)]


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64", SECRET.removeprefix("whsec_")])
def test_what_is_not_a_secret_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="a secret is whsec_") as refused:
        secret_of(text)
    assert not text.removeprefix("whsec_") or text not in str(refused.value)
