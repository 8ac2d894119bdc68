from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from st2sensor import rpc
from st2sensor.errors import DatastoreUnavailable, ProtocolError, RpcError

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
