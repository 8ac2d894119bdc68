"""The rules for keys, at their edges."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from st2sensor.errors import DatastoreRefused
from st2sensor.portable.keyspace import (
    MOST,
    NAME_LIMIT,
    SYSTEM_SCOPE,
    VALUE_LIMIT,
    Asker,
    check_expected,
    check_name,
    check_value,
    expiry,
    may_decrypt,
    own_name,
    start_of_page,
    stored_name,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ASKER = Asker("p.S")
DENIED = Asker("p.S", writes_global=False, decrypts_global=False)


def seconds_of(ttl: Any, now: datetime = NOW) -> float | None:
    expires = expiry(now, ttl)
    return None if expires is None else (expires - NOW).total_seconds()


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [(None, None), (0, None), (0.0, None), (60, 60.0), (0.5, 0.5), (0.0001, 0.001), (0.001, 0.001), (1.0011, 1.002)],
)
def test_a_key_expires_in_whole_milliseconds_and_never_early(ttl: Any, seconds: float | None) -> None:
    assert seconds_of(ttl) == seconds


def test_the_time_of_day_is_rounded_up_as_well() -> None:
    assert seconds_of(60, NOW + timedelta(microseconds=1)) == 60.001
    assert seconds_of(60, NOW + timedelta(microseconds=999)) == 60.001
    assert seconds_of(60, NOW + timedelta(microseconds=1000)) == 60.001
    assert seconds_of(60, NOW + timedelta(microseconds=1001)) == 60.002


@pytest.mark.parametrize("ttl", [-1, -0.1, math.inf, -math.inf, math.nan])
def test_a_ttl_is_positive(ttl: float) -> None:
    with pytest.raises(ValueError, match="ttl must be more than 0 seconds"):
        expiry(NOW, ttl)


@pytest.mark.parametrize("ttl", [1e300, 10**400, 1e12])
def test_a_ttl_beyond_the_calendar_is_too_long(ttl: float) -> None:
    with pytest.raises(ValueError, match="the ttl is too long"):
        expiry(NOW, ttl)


@pytest.mark.parametrize("ttl", [True, False, "60", [60]])
def test_a_ttl_is_a_number(ttl: Any) -> None:
    with pytest.raises(TypeError, match="ttl must be a number of seconds"):
        expiry(NOW, ttl)


def test_a_list_begins_with_the_prefix_below_the_sensor_if_it_is_local() -> None:
    assert start_of_page(ASKER, True, "a", None, 0) == "p.S:a"
    assert start_of_page(ASKER, False, "a", 0, 0) == "a"
    assert start_of_page(ASKER, True, None, MOST, MOST) == "p.S:"
    assert start_of_page(ASKER, False, None, None, 0) == ""


@pytest.mark.parametrize(
    ("limit", "offset", "message"),
    [
        (-1, 0, "limit must be a whole number from 0"),
        (MOST + 1, 0, "limit must be"),
        (1.5, 0, "limit must be"),
        (None, -1, "offset must be a whole number from 0"),
        (None, MOST + 1, "offset must be"),
        (None, "1", "offset must be"),
    ],
)
def test_a_page_has_a_whole_limit_and_offset(limit: Any, offset: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        start_of_page(ASKER, True, None, limit, offset)


def test_a_prefix_is_text() -> None:
    with pytest.raises(TypeError, match="prefix must be a string"):
        start_of_page(ASKER, True, 7, None, 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a prefix must be text"):
        start_of_page(ASKER, True, "\ud800", None, 0)


@pytest.mark.parametrize("scope", ["system", SYSTEM_SCOPE])
def test_an_own_key_is_stored_below_the_sensor(scope: str) -> None:
    assert stored_name(ASKER, "a", True, scope) == "p.S:a"
    assert stored_name(ASKER, "a", False, scope) == "a"


def test_other_scopes_are_not_available() -> None:
    with pytest.raises(ValueError, match=r"scope 'st2kv\.user' is not available to sensors; use 'st2kv\.system'"):
        stored_name(ASKER, "a", True, "st2kv.user")


def test_the_limit_of_a_name_includes_the_namespace() -> None:
    longest = "x" * (NAME_LIMIT - len("p.S:"))
    assert stored_name(ASKER, longest, True, "system") == f"p.S:{longest}"
    assert stored_name(ASKER, "x" * NAME_LIMIT, False, "system")
    for name, local in ((f"{longest}x", True), ("x" * (NAME_LIMIT + 1), False), ("ä" * (NAME_LIMIT // 2 + 1), False)):
        with pytest.raises(ValueError, match="is too long: the limit is 1024, namespace included"):
            stored_name(ASKER, name, local, "system")


@pytest.mark.parametrize("name", ["", None, 7, "\ud800"])
def test_a_name_is_text_that_can_be_stored(name: Any) -> None:
    with pytest.raises(ValueError, match="a datastore key must be"):
        check_name(name)


def test_a_sensor_changes_its_own_keys_whatever_it_may_share() -> None:
    assert own_name(DENIED, "a", True, "system") == "p.S:a"
    assert own_name(DENIED, "p.S:a", False, "system") == "p.S:a"


@pytest.mark.parametrize("name", ["p.T:a", "q.S:a", "p.S2:a", "p-1.T:a"])
def test_a_sensor_changes_and_decrypts_no_other_sensors_keys(name: str) -> None:
    with pytest.raises(DatastoreRefused, match="belongs to that sensor"):
        own_name(ASKER, name, False, "system")
    with pytest.raises(DatastoreRefused, match="it belongs to another sensor"):
        may_decrypt(ASKER, name)


@pytest.mark.parametrize("name", ["a", "p.T", "a:b", "p.1T:a", "p.q.T:a", ".T:a", "p:T.a:b"])
def test_shared_keys_are_changed_and_decrypted_if_that_is_allowed(name: str) -> None:
    assert own_name(ASKER, name, False, "system") == name
    may_decrypt(ASKER, name)
    with pytest.raises(DatastoreRefused, match="global_write is deny"):
        own_name(DENIED, name, False, "system")
    with pytest.raises(DatastoreRefused, match="decrypt_global is deny"):
        may_decrypt(DENIED, name)


def test_a_sensor_decrypts_its_own_keys() -> None:
    may_decrypt(DENIED, "p.S:a")


def test_the_limit_of_a_value_is_in_bytes() -> None:
    check_value("")
    check_value("x" * VALUE_LIMIT)
    for value in ("x" * (VALUE_LIMIT + 1), "ä" * (VALUE_LIMIT // 2 + 1)):
        with pytest.raises(ValueError, match="is too long: the limit is"):
            check_value(value)


def test_a_value_is_text() -> None:
    with pytest.raises(TypeError, match="a datastore value must be a string"):
        check_value(7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a datastore value must be text"):
        check_value("\ud800")


def test_an_expected_value_is_text_or_none() -> None:
    check_expected(None)
    check_expected("")
    with pytest.raises(TypeError, match="expected must be a string or None"):
        check_expected(7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the expected value must be text"):
        check_expected("\ud800")
