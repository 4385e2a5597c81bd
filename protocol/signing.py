"""Sign and verify a callback, after Standard Webhooks 1.0 (symmetric signatures, `v1`).

Signed is `id.timestamp.body` with HMAC-SHA256; the header holds `v1,` and the digest in base64, several of them apart
by spaces. A secret is `whsec_` and the base64 of its 24 to 64 bytes.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"
SECRET_PREFIX: Final = "whsec_"
TOLERANCE_SECONDS: Final = 300  # the five minutes that Standard Webhooks recommends
SECRET_BYTES: Final = range(24, 65)


class SecretError(ValueError):
    """A text that is no signing secret. Never holds the text itself."""


class SignatureError(Exception):
    """A callback that was not signed with this secret, or not lately. `str()` says which, for the recipient's log."""


class ClocksApart(SignatureError):
    """A callback with a good signature, of a time that is too far away. `seconds` is how far this clock is ahead."""

    def __init__(self, seconds: float) -> None:
        """Take how far; negative: this clock is behind."""
        super().__init__(f"{TIMESTAMP_HEADER} is more than {TOLERANCE_SECONDS} seconds from now: {seconds:+.0f} s")
        self.seconds = seconds


def encode_secret(key: bytes) -> str:
    """Write a key as `whsec_…`."""
    return SECRET_PREFIX + base64.b64encode(key).decode()


def decode_secret(secret: str) -> bytes:
    """Read the key out of `whsec_…`, or raise `SecretError`."""
    expected = f"expected {SECRET_PREFIX} and the base64 of {SECRET_BYTES[0]} to {SECRET_BYTES[-1]} bytes"
    if not secret.startswith(SECRET_PREFIX):
        raise SecretError(expected)
    try:
        key = base64.b64decode(secret[len(SECRET_PREFIX) :].encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise SecretError(expected) from None
    if len(key) not in SECRET_BYTES:
        raise SecretError(expected)
    return key


def signed_content(webhook_id: str, timestamp: int, body: bytes) -> bytes:
    """Give what is signed for one attempt at `timestamp` (Unix seconds); it is the same for every key."""
    return b"%b.%d.%b" % (webhook_id.encode(), timestamp, body)


class Signer:
    """Signs with one key, again and again: HMAC (RFC 2104) whose key is worked into the two digests once.

    `hmac.digest` gives the same, but looks its algorithm up each time, which costs more than the digest of a message.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        """Keep what the key makes of the digests, not the key. It has at most 64 bytes, a block of SHA-256."""
        block = key.ljust(hashlib.sha256().block_size, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def sign(self, content: bytes) -> bytes:
        """Give the value of `webhook-signature` for what `signed_content` gives."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(content)
        outer.update(inner.digest())
        return b"v1," + binascii.b2a_base64(outer.digest(), newline=False)


def sign(key: bytes, webhook_id: str, timestamp: int, body: bytes) -> str:
    """Give the value of `webhook-signature` for one attempt at `timestamp` (Unix seconds)."""
    digest = hmac.digest(key, signed_content(webhook_id, timestamp, body), hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


def signed_headers(key: bytes, webhook_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Give the three headers that a signed POST carries."""
    return {
        ID_HEADER: webhook_id,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: sign(key, webhook_id, timestamp, body),
    }


def verify(key: bytes, headers: Mapping[str, str], body: bytes, now: float) -> str:
    """Check a callback's headers (looked up in lower case) against its body and give its `webhook-id`.

    Raises `SignatureError` and nothing else, whatever the headers hold.
    """
    webhook_id = headers.get(ID_HEADER, "")
    stamp = headers.get(TIMESTAMP_HEADER, "")
    signatures = headers.get(SIGNATURE_HEADER, "")
    if not (webhook_id and stamp and signatures):
        raise SignatureError(f"the headers {ID_HEADER}, {TIMESTAMP_HEADER} and {SIGNATURE_HEADER} are all needed")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 15):
        raise SignatureError(f"{TIMESTAMP_HEADER} is not a number of seconds")
    timestamp = int(stamp)
    try:
        expected = sign(key, webhook_id, timestamp, body).encode()
    except UnicodeEncodeError:
        raise SignatureError(f"{ID_HEADER} is not text") from None
    offered = [signature.encode(errors="replace") for signature in signatures.split(" ")]
    if not any(hmac.compare_digest(expected, signature) for signature in offered):
        raise SignatureError(f"{SIGNATURE_HEADER} is not of this body and secret")
    if abs(now - timestamp) > TOLERANCE_SECONDS:
        raise ClocksApart(now - timestamp)
    return webhook_id
