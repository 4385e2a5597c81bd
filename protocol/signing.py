"""Sign and verify a callback, after Standard Webhooks 1.0 (symmetric signatures, `v1`).

The signature is the HMAC-SHA256 of `id.timestamp.body`. The header contains `v1,` and the digest in base64; several
signatures are separated by spaces. A secret is `whsec_` and the base64 of its 24 to 64 bytes.
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
    """A text that is not a signing secret. The error never contains the text."""


class SignatureError(Exception):
    """A POST to a callback that is not signed with this secret, or not recently. `str()` is the reason, for the log."""


class ClocksApart(SignatureError):
    """A valid signature whose timestamp is too far from now.

    `seconds` is how far this clock is ahead of the sender's; negative if this clock is behind.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{TIMESTAMP_HEADER} is more than {TOLERANCE_SECONDS} seconds from now: {seconds:+.0f} s")
        self.seconds = seconds


def encode_secret(key: bytes) -> str:
    """Return a key as `whsec_…`."""
    return SECRET_PREFIX + base64.b64encode(key).decode()


def decode_secret(secret: str) -> bytes:
    """Return the key in `whsec_…`. Raise `SecretError`."""
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
    """Return the bytes to sign for an attempt at `timestamp` (Unix seconds); they do not depend on the key."""
    return b"%b.%d.%b" % (webhook_id.encode(), timestamp, body)


class Signer:
    """Signs repeatedly with the same key: HMAC (RFC 2104) that applies the key to its two digests only once.

    `hmac.digest` returns the same, but looks its algorithm up each time, which costs more than the digest of a message.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        """Store the keyed digests, not the key. `key` has at most 64 bytes, a block of SHA-256."""
        block = key.ljust(hashlib.sha256().block_size, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def sign(self, content: bytes) -> bytes:
        """Return the value of `webhook-signature` for the result of `signed_content`."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(content)
        outer.update(inner.digest())
        return b"v1," + binascii.b2a_base64(outer.digest(), newline=False)


def sign(key: bytes, webhook_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature` for an attempt at `timestamp` (Unix seconds)."""
    digest = hmac.digest(key, signed_content(webhook_id, timestamp, body), hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


def signed_headers(key: bytes, webhook_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three headers of a signed POST."""
    return {
        ID_HEADER: webhook_id,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: sign(key, webhook_id, timestamp, body),
    }


def verify(key: bytes, headers: Mapping[str, str], body: bytes, now: float) -> str:
    """Verify the headers (looked up in lower case) of a POST to a callback against its body; return its `webhook-id`.

    Raise `SignatureError`, and no other exception, for any content of the headers.
    """
    webhook_id = headers.get(ID_HEADER, "")
    stamp = headers.get(TIMESTAMP_HEADER, "")
    signatures = headers.get(SIGNATURE_HEADER, "")
    if not (webhook_id and stamp and signatures):
        raise SignatureError(f"the headers {ID_HEADER}, {TIMESTAMP_HEADER} and {SIGNATURE_HEADER} must all be present")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 15):
        raise SignatureError(f"{TIMESTAMP_HEADER} is not a number of seconds")
    timestamp = int(stamp)
    try:
        expected = sign(key, webhook_id, timestamp, body).encode()
    except UnicodeEncodeError:
        raise SignatureError(f"{ID_HEADER} is not text") from None
    offered = [signature.encode(errors="replace") for signature in signatures.split(" ")]
    if not any(hmac.compare_digest(expected, signature) for signature in offered):
        raise SignatureError(f"{SIGNATURE_HEADER} does not match this body and secret")
    if abs(now - timestamp) > TOLERANCE_SECONDS:
        raise ClocksApart(now - timestamp)
    return webhook_id
