"""Values: how long they are kept, outages, and that one unreachable Vault is not asked for every secret."""

from __future__ import annotations

import pytest

from st2sensor.errors import SecretError, SecretUnavailable
from st2sensor.secrets.call import Call
from st2sensor.secrets.values import Values

A, B = Call("vault", ("a", "x")), Call("vault", ("b", "x"))


class Source:
    def __init__(self) -> None:
        self.now = 0.0
        self.value = "one-value"
        self.error: SecretError | None = None
        self.reads = 0

    def read(self, call: Call) -> str:  # noqa: ARG002
        self.reads += 1
        if self.error is not None:
            raise self.error
        return self.value


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def values(source: Source) -> Values:
    return Values(source, 60, lambda: source.now)


def test_a_value_is_read_once_in_an_interval(source: Source, values: Values) -> None:
    assert [values.get(A), values.get(A)] == ["one-value"] * 2
    source.now, source.value = 61.0, "two"
    assert (values.get(A), source.reads) == ("two", 2)


def test_the_last_value_stays_in_use_while_the_source_fails_and_the_log_says_so_once(
    source: Source, values: Values, caplog: pytest.LogCaptureFixture
) -> None:
    values.get(A)
    source.error = SecretUnavailable("it is sealed")
    for source.now in (100.0, 200.0):
        assert values.refresh([A]) == {A: "one-value"}
        assert values.get(A) == "one-value"
    assert caplog.text.count("it is sealed; until then its last value stays in use") == 1
    assert "one-value" not in caplog.text


def test_starts_do_not_queue_for_a_vault_that_is_away(source: Source, values: Values) -> None:
    source.error = SecretUnavailable("away")
    for call in (A, B, A, B):
        with pytest.raises(SecretUnavailable, match="away"):
            values.get(call)
    assert source.reads == 1
    source.now, source.error = 1.5, None
    assert values.get(B) == "one-value"


def test_secrets_that_nobody_uses_are_forgotten(source: Source, values: Values) -> None:
    values.get(A)
    assert values.refresh([B]) == {B: "one-value"}
    values.get(A)
    assert source.reads == 3
