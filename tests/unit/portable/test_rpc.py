from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from st2sensor.errors import DatastoreError, DatastoreUnavailable, KeyFileForbidden, ProtocolError, RpcError
from st2sensor.portable import rpc

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(params=st.dictionaries(st.text(), JSON))
def test_what_is_encoded_is_one_line_and_decodes_to_itself(params: dict[str, object]) -> None:
    line = rpc.request(7, "dispatch", params)
    assert line.count(b"\n") == 1
    assert rpc.decode(line) == {"jsonrpc": "2.0", "id": 7, "method": "dispatch", "params": params}


@given(messages=st.lists(st.binary().filter(lambda data: b"\n" not in data)), cut=st.integers(1, 20))
def test_lines_come_out_whole_however_they_are_cut(messages: list[bytes], cut: int) -> None:
    stream = b"".join(message + b"\n" for message in messages)
    buffer = rpc.LineBuffer()
    lines = [line for start in range(0, len(stream), cut) for line in buffer.feed(stream[start : start + cut])]
    assert lines == messages


def test_a_line_without_end_is_refused() -> None:
    buffer = rpc.LineBuffer(limit=10)
    with pytest.raises(ProtocolError, match="longer than 10 bytes"):
        buffer.feed(b"x" * 11)


@pytest.mark.parametrize("line", [b"", b"nonsense", b"[]", b"{}", b'{"jsonrpc": "1.0"}', b"\xff\xfe"])
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        rpc.decode(line)


def test_an_error_is_raised_as_what_it_was_where_sensors_know_it() -> None:
    with pytest.raises(DatastoreUnavailable, match="away"):
        rpc.answer_of(rpc.decode(rpc.error(1, DatastoreUnavailable("away"))))
    with pytest.raises(ValueError, match="no such scope"):
        rpc.answer_of(rpc.decode(rpc.error(1, ValueError("no such scope"))))
    with pytest.raises(RpcError, match="odd"):
        rpc.answer_of(rpc.decode(rpc.error(1, ZeroDivisionError("odd"))))


def assembled(data: bytes) -> list[rpc.Message]:
    requests = rpc.Requests()
    found = [requests.add(line) for line in rpc.LineBuffer().feed(data)]
    return [message for message in found if message is not None]


def test_a_request_comes_with_its_bodies() -> None:
    bodies = [rpc.body({"a": "\n"}), rpc.body("text"), rpc.body("\ud800")]
    data = rpc.request(1, "m", {"x": 1}, bodies) + rpc.request(2, "n", {})
    first, second = assembled(data)
    assert (first["id"], first["params"], first["bodies"]) == (1, {"x": 1}, bodies)
    assert (second["id"], second["bodies"]) == (2, [])
    assert [json.loads(body) for body in bodies] == [{"a": "\n"}, "text", "\ud800"]


@pytest.mark.parametrize("count", [-1, 1.0, True, "1", None, [], rpc.MAX_BODIES + 1])
def test_a_wrong_number_of_bodies_is_refused(count: object) -> None:
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "m", "bodies": count}).encode()
    with pytest.raises(ProtocolError):
        rpc.Requests().add(line)


def test_a_line_that_takes_long_to_decode_is_refused() -> None:
    requests = rpc.Requests()
    with pytest.raises(ProtocolError, match="bodies"):
        requests.add(b"[" * (rpc.MAX_REQUEST_BYTES + 1))


def test_bodies_are_bounded_in_bytes_together() -> None:
    requests = rpc.Requests()
    requests.add(b'{"jsonrpc":"2.0","id":1,"method":"m","bodies":100}')
    line = b"x" * (rpc.MAX_REQUEST_TOTAL_BYTES // 10)
    for _ in range(9):
        assert requests.add(line) is None
    with pytest.raises(ProtocolError, match="longer"):
        requests.add(line * 2)
    with pytest.raises(ValueError, match="too many"):
        rpc.request(1, "m", {}, [line] * 11)
    with pytest.raises(ValueError, match="too many"):
        rpc.request(1, "m", {}, [b"1"] * (rpc.MAX_BODIES + 1))


def test_an_error_that_sensors_do_not_know_reaches_them_as_the_nearest_that_they_know() -> None:
    with pytest.raises(DatastoreError, match="not for you") as raised:
        rpc.answer_of(rpc.decode(rpc.error(1, KeyFileForbidden("not for you"))))
    assert type(raised.value) is DatastoreError
