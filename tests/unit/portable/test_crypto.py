"""Secrets in StackStorm's format: its samples, ours as an independent reader sees them, and text in another format."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from st2sensor.portable import crypto
from st2sensor.portable.crypto import BadKey, Key, NotCiphertext, OtherKey
from tests.support.workspace import ROOT

SAMPLES = json.loads((ROOT / "tests" / "samples" / "encryption.json").read_text())
KEY_FILE = json.dumps(SAMPLES["key_file"])
KEY = crypto.parse(KEY_FILE)
SECRET = "Sup3rS34et" * 5
CIPHERTEXT = KEY.encrypt(SECRET)


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def read_independently(ciphertext: str, key_file: dict[str, Any]) -> str:
    """Decrypt by the description of the format, with the standard library and OpenSSL's command."""
    data = bytes.fromhex(ciphertext)
    signed, mac = data[:-20], data[-20:]
    assert hmac.digest(decoded(key_file["hmacKey"]["hmacKeyString"]), signed, hashlib.sha1) == mac
    assert signed[:5] == b"00000"
    command = ["openssl", "enc", "-d", "-aes-256-cbc", "-K", decoded(key_file["aesKeyString"]).hex()]
    done = subprocess.run([*command, "-iv", signed[5:21].hex()], input=signed[21:], capture_output=True, check=True)
    return done.stdout.decode()


@pytest.mark.parametrize("vector", SAMPLES["vectors"], ids=lambda vector: str(len(vector["plaintext"])))
def test_the_samples_decrypt(vector: dict[str, str]) -> None:
    assert KEY.decrypt(vector["ciphertext"]) == vector["plaintext"]
    assert read_independently(vector["ciphertext"], SAMPLES["key_file"]) == vector["plaintext"]


@pytest.mark.parametrize("text", ["", "x", "x" * 15, "x" * 16, "zażółć gęślą jaźń ☃", "\0", "x" * 100_000], ids=len)
def test_an_independent_reader_reads_ours(text: str) -> None:
    assert read_independently(KEY.encrypt(text), SAMPLES["key_file"]) == text
    made = crypto.generate()
    ciphertext = crypto.parse(made).encrypt(text)
    assert read_independently(ciphertext, json.loads(made)) == text
    assert ciphertext == ciphertext.upper()


def test_the_same_text_is_never_the_same_ciphertext_and_keys_are_never_the_same() -> None:
    assert KEY.encrypt("x") != KEY.encrypt("x")
    assert crypto.generate() != crypto.generate()


def test_a_generated_key_file_has_stackstorms_fields() -> None:
    made = json.loads(crypto.generate())
    assert {**made, "aesKeyString": "", "hmacKey": {**made["hmacKey"], "hmacKeyString": ""}} == {
        "hmacKey": {"hmacKeyString": "", "size": 256},
        "aesKeyString": "",
        "mode": "CBC",
        "size": 256,
    }
    assert len(decoded(made["aesKeyString"])) == len(decoded(made["hmacKey"]["hmacKeyString"])) == 32


@given(st.text())
def test_what_is_encrypted_comes_back(text: str) -> None:
    assert KEY.decrypt(KEY.encrypt(text)) == text


@given(st.integers(0, len(CIPHERTEXT) // 2 - 1), st.integers(1, 255))
def test_a_changed_byte_is_never_read(position: int, change: int) -> None:
    data = bytearray.fromhex(CIPHERTEXT)
    data[position] ^= change
    with pytest.raises((NotCiphertext, OtherKey)):
        KEY.decrypt(data.hex())


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(bytes.hex), st.just(CIPHERTEXT + "00")))
def test_what_is_no_ciphertext_is_never_read(text: str) -> None:
    with pytest.raises((NotCiphertext, OtherKey)):
        KEY.decrypt(text)


@given(st.integers(0, len(CIPHERTEXT) - 1))
def test_a_cut_ciphertext_is_never_read(length: int) -> None:
    with pytest.raises((NotCiphertext, OtherKey)):
        KEY.decrypt(CIPHERTEXT[:length])


def test_another_key_reads_nothing_nor_does_half_of_this_one() -> None:
    other = SAMPLES["key_file"] | {"aesKeyString": json.loads(crypto.generate())["aesKeyString"]}
    with pytest.raises(OtherKey):
        crypto.parse(crypto.generate()).decrypt(CIPHERTEXT)
    with pytest.raises(OtherKey):
        crypto.parse(json.dumps(other)).decrypt(CIPHERTEXT)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.sampled_from([*SAMPLES["key_file"], "x"]), inner)),
)


@given(
    st.one_of(st.text(), JSON.map(json.dumps), st.integers(0, len(KEY_FILE) - 1).map(lambda length: KEY_FILE[:length]))
)
def test_what_is_no_key_file_is_never_taken_for_one(text: str) -> None:
    with pytest.raises(BadKey) as caught:
        crypto.parse(text)
    assert caught.value.__cause__ is None


@given(st.sampled_from(["aesKeyString", "mode", "hmacKey"]), JSON)
def test_a_changed_field_makes_another_key_or_none(field: str, value: Any) -> None:
    changed = json.dumps(SAMPLES["key_file"] | {field: value})
    try:
        key = crypto.parse(changed)
    except BadKey:
        return
    with pytest.raises(OtherKey):
        key.decrypt(CIPHERTEXT)


@pytest.mark.parametrize("size", [15, 31, 33, 0])
def test_a_key_of_an_odd_size_is_none(size: int) -> None:
    text = base64.urlsafe_b64encode(b"x" * size).decode()
    with pytest.raises(BadKey, match="128, 192 or 256 bits"):
        crypto.parse(json.dumps(SAMPLES["key_file"] | {"aesKeyString": text}))


def test_a_key_shows_nothing_of_itself() -> None:
    assert repr(KEY) == str(KEY) == "Key(...)"
    with pytest.raises(BadKey) as caught:
        crypto.parse(KEY_FILE.replace("CBC", "ECB"))
    assert SAMPLES["key_file"]["aesKeyString"] not in str(caught.value)
    assert isinstance(KEY, Key)
