"""Encrypts the datastore's secrets in StackStorm's format. No other module imports cryptography.

A key file is JSON with an AES key and an HMAC key in web-safe base64. A ciphertext is upper-case hex of a header, an
initialization vector, the padded text under AES-CBC, and an HMAC-SHA1 of all of these.
CPython 3.9: packs may import this module, under StackStorm's name.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, hmac, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

HEADER = b"00000"
BLOCK, MAC = 16, 20
"""Bytes of an AES block, which is also the vector's size, and of the HMAC."""

KEY_BITS = 256
"""Bits of keys that are generated here. AES accepts any of SIZES."""

SIZES = (16, 24, 32)
"""Valid lengths of an AES key, in bytes."""

PADDING_BITS = BLOCK * 8


class BadKey(ValueError):
    """A text is not a valid key."""


class NotCiphertext(ValueError):
    """A text does not have the form of an encrypted value."""


class OtherKey(ValueError):
    """A value was encrypted under another key, or was changed afterwards. These two cases cannot be distinguished."""


@dataclass(frozen=True)
class Key:
    """A symmetric key. Its repr() does not show it."""

    _aes: bytes
    _hmac: bytes

    def __repr__(self) -> str:
        return "Key(...)"

    def encrypt(self, text: str) -> str:
        """Encrypt a text. Raises UnicodeEncodeError for text that UTF-8 cannot encode."""
        padder = padding.PKCS7(PADDING_BITS).padder()
        padded = padder.update(text.encode()) + padder.finalize()
        vector = os.urandom(BLOCK)
        encryptor = Cipher(algorithms.AES(self._aes), modes.CBC(vector)).encryptor()
        signed = HEADER + vector + encryptor.update(padded) + encryptor.finalize()
        return (signed + self._mac(signed).finalize()).hex().upper()

    def decrypt(self, ciphertext: str) -> str:
        """Decrypt a text, after verifying that it was not changed. Raises NotCiphertext and OtherKey."""
        signed, mac = _parts(ciphertext)
        try:
            # This takes constant time, and comes before any decryption.
            self._mac(signed).verify(mac)
        except InvalidSignature as exception:
            raise OtherKey("encrypted under another key, or changed afterwards") from exception
        start = len(HEADER) + BLOCK
        decryptor = Cipher(algorithms.AES(self._aes), modes.CBC(signed[len(HEADER) : start])).decryptor()
        unpadder = padding.PKCS7(PADDING_BITS).unpadder()
        try:
            padded = decryptor.update(signed[start:]) + decryptor.finalize()
            return (unpadder.update(padded) + unpadder.finalize()).decode()
        except ValueError as exception:
            # The HMAC key fits, the AES key does not: two key files were mixed.
            raise OtherKey("encrypted under another AES key") from exception

    def _mac(self, data: bytes) -> hmac.HMAC:
        # StackStorm's format requires SHA-1. HMAC does not rely on its resistance to collisions.
        mac = hmac.HMAC(self._hmac, hashes.SHA1())
        mac.update(data)
        return mac


def parse(text: str) -> Key:
    """Return the key in a key file's text. Raises BadKey, which says what is wrong without quoting the text."""
    try:
        fields = json.loads(text)
        mode = fields["mode"]
        aes, mac = _decoded(fields["aesKeyString"]), _decoded(fields["hmacKey"]["hmacKeyString"])
    except (ValueError, RecursionError):
        raise BadKey("it is not JSON with keys in web-safe base64") from None
    except (KeyError, TypeError):
        raise BadKey("aesKeyString, mode or hmacKey with hmacKeyString is missing") from None
    if mode != "CBC":
        raise BadKey("its mode is not CBC")
    if len(aes) not in SIZES or not mac:
        raise BadKey("its AES key does not have 128, 192 or 256 bits, or its HMAC key is empty")
    return Key(aes, mac)


def generate() -> str:
    """Return a new key as the text of a key file."""
    fields = {
        "hmacKey": {"hmacKeyString": _encoded(os.urandom(KEY_BITS // 8)), "size": KEY_BITS},
        "aesKeyString": _encoded(os.urandom(KEY_BITS // 8)),
        "mode": "CBC",
        "size": KEY_BITS,
    }
    return json.dumps(fields)


def _parts(ciphertext: str) -> tuple[bytes, bytes]:
    try:
        data = binascii.unhexlify(ciphertext)
    except ValueError as exception:
        raise NotCiphertext("not an encrypted value: it is not hexadecimal") from exception
    encrypted = len(data) - len(HEADER) - BLOCK - MAC
    if encrypted < BLOCK or encrypted % BLOCK or not data.startswith(HEADER):
        raise NotCiphertext("not an encrypted value: it was cut off, or is something else")
    return data[:-MAC], data[-MAC:]


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
