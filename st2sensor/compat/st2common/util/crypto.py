"""StackStorm's name for the encryption of the datastore's secrets. It needs the package cryptography."""

from typing import Union

from st2sensor.portable.crypto import Key, parse

__all__ = ["AESKey", "read_crypto_key", "symmetric_decrypt", "symmetric_encrypt"]

AESKey = Key


def read_crypto_key(key_path: str) -> Key:
    """Return the key in a key file. Raises OSError, and ValueError for a file that holds no key."""
    with open(key_path, encoding="utf-8") as file:
        return parse(file.read())


def symmetric_encrypt(encrypt_key: Key, plaintext: Union[str, bytes]) -> bytes:
    """Return the ciphertext, in hexadecimal digits."""
    return encrypt_key.encrypt(plaintext.decode() if isinstance(plaintext, bytes) else plaintext).encode()


def symmetric_decrypt(decrypt_key: Key, ciphertext: Union[str, bytes]) -> str:
    """Return the text. Raises ValueError for text that is not a ciphertext, or was encrypted under another key."""
    return decrypt_key.decrypt(ciphertext.decode() if isinstance(ciphertext, bytes) else ciphertext)
