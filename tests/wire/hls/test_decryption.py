"""Tests of ntvmedia.wire.hls.decryption."""

from __future__ import annotations

from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from hypothesis import given, strategies as st

from ntvmedia.errors import PeerError
from ntvmedia.wire.hls.decryption import KEY_SIZE, Decrypter

# NIST SP 800-38A, F.2.1 and F.2.2: CBC-AES128.
KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
IV = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
PLAIN = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
CIPHER = bytes.fromhex(
    "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"
    "73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7"
)

# echo -n TEXT | openssl enc -aes-128-cbc -K $KEY -iv $IV | xxd -p: the document's padding.
OPENSSL = (
    (b"", "c84af0b613435d5d9182801a9bd9320b"),
    (b"0123456789abcde", "8d56fa9d71356d490c3da50615830130"),
    (b"0123456789abcdef", "64768548007aef9f3d258e5c34cdc21bde0a1268436e159434fc21de3696d928"),
)


def encrypted(data: bytes, key: bytes = KEY, iv: bytes = IV) -> bytes:
    """Encrypt as METHOD=AES-128 says, by another library than the one that is tested."""
    padder = PKCS7(128).padder()
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return cipher.update(padder.update(data) + padder.finalize()) + cipher.finalize()


def decrypted(pieces: list[bytes], key: bytes = KEY, iv: bytes = IV) -> bytes:
    """Decrypt what comes in pieces."""
    decrypter = Decrypter(key, iv)
    return b"".join([*map(decrypter.update, pieces), decrypter.finish()])


def raw(plain: bytes) -> bytes:
    """Encrypt whole blocks, without padding."""
    return Cipher(algorithms.AES(KEY), modes.CBC(IV)).encryptor().update(plain)


def test_nist() -> None:
    """NIST SP 800-38A F.2.2, which has no padding: all but what may be padding comes at once."""
    assert KEY_SIZE == 16
    decrypter = Decrypter(KEY, IV)
    assert decrypter.update(CIPHER) == PLAIN[:-16]
    assert decrypter.update(b"\0") == PLAIN[-16:]


@pytest.mark.parametrize(("plain", "digits"), OPENSSL)
def test_openssl(plain: bytes, digits: str) -> None:
    """C-AE-01: what openssl encrypts, with PKCS#7 padding, 1 to 16 bytes of it."""
    assert decrypted([bytes.fromhex(digits)]) == plain
    assert encrypted(plain).hex() == digits


@given(
    st.binary(max_size=200),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=16, max_size=16),
    st.lists(st.integers(0, 224), max_size=8),
)
def test_any_split(plain: bytes, key: bytes, iv: bytes, cuts: list[int]) -> None:
    """C-AE-01: decrypt(encrypt(x)) = x, however it comes in pieces, and all but the end at once."""
    data = encrypted(plain, key, iv)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(places)]
    assert decrypted(pieces, key, iv) == plain
    decrypter = Decrypter(key, iv)
    came = 0
    there = 0
    for piece in pieces:
        came += len(piece)
        there += len(decrypter.update(piece))
        # Only what may be the last block, or is no whole one, waits.
        assert came - there <= 16


@given(st.binary(max_size=100))
def test_cut_off(data: bytes) -> None:
    """What is no multiple of 16 bytes, or nothing at all, is not whole."""
    decrypter = Decrypter(KEY, IV)
    if len(data) % 16 == 0 and data:
        data = data[:-1]
    decrypter.update(data)
    with pytest.raises(PeerError, match="16 bytes"):
        decrypter.finish()


@pytest.mark.parametrize(
    "end",
    [
        bytes(16),
        bytes(15) + b"\x11",
        bytes(15) + b"\xff",
        bytes(14) + b"\x01\x02",
        b"\x0f" + b"\x10" * 15,
        bytes(12) + b"\x05\x04\x04\x04",
    ],
)
def test_wrong_padding(end: bytes) -> None:
    """A key that is wrong shows at the end, in all but one of 256 cases, and is told as that."""
    with pytest.raises(PeerError, match="key is wrong"):
        decrypted([raw(bytes(16) + end)])


@pytest.mark.parametrize("count", [1, 2, 15, 16])
def test_padding(count: int) -> None:
    """Each right padding is taken off, and nothing more, though what is before looks like it."""
    block = bytes([count]) * 16
    assert decrypted([raw(block + block)]) == block + block[count:]


def test_wrong_key() -> None:
    """Of many wrong keys, nearly all are found out by the padding alone."""
    data = encrypted(b"G" * 1880)
    found = 0
    for wrong in range(256):
        try:
            decrypted([data], bytes([wrong]) * 16)
        except PeerError:
            found += 1
    assert found >= 250


def test_wrong_iv() -> None:
    """C-AE-01: another IV spoils the first block alone: nothing but the media can tell."""
    plain = b"G" * 188
    found = decrypted([encrypted(plain)], KEY, bytes(16))
    assert found[:16] != plain[:16]
    assert found[16:] == plain[16:]
