from __future__ import annotations

import bz2
import lzma
import zlib

import pytest
from backports import zstd
from kombu.compression import compress, encoders

from st2sensor.transport.amqp import consumer
from st2sensor.transport.amqp.consumer import DECOMPRESSORS, decompressed

BOMBS = {
    "application/x-gzip": zlib.compress(bytes(1_000_000)),
    "application/x-bz2": bz2.compress(bytes(1_000_000)),
    "application/x-lzma": lzma.compress(bytes(1_000_000)),
    "application/zstd": zstd.compress(bytes(1_000_000)),
}


@pytest.mark.parametrize("kind", sorted(DECOMPRESSORS))
def test_a_body_is_decompressed_up_to_its_bound(
    kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert kind in encoders()
    text, name = compress(b"text", kind)
    assert decompressed(text, name) == b"text"
    monkeypatch.setattr(consumer, "LONGEST_BODY", 1000)
    assert decompressed(BOMBS[kind], kind) == BOMBS[kind]
    assert "more than 1000 bytes" in caplog.text


@pytest.mark.parametrize("kind", ["application/x-gzip", "application/zstd", "none", "", 7, ["x" * 1000], {}])
def test_what_is_not_compressed_as_it_says_is_left_as_it_is(kind: object, caplog: pytest.LogCaptureFixture) -> None:
    assert decompressed(b"plain", kind) == b"plain"
    assert len(caplog.text) < 500
