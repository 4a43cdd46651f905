"""Token ids as the design defines them, written from the design and from nothing else."""

import hashlib
import hmac

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base32, lower case


def _base32(number, digits):
    text = ""
    for _ in range(digits):
        text = _DIGITS[number & 31] + text
        number >>= 5
    return text


def token_id(key, secret):
    """The id of `secret` (bytes, normalised) under the fleet key `key` (bytes)."""
    digest = hmac.new(key, b"tokenwatch token v1\0" + secret, hashlib.sha256).digest()
    return "tok_" + _base32(int.from_bytes(digest[:16], "big"), 26)


def key_id(key):
    digest = hmac.new(key, b"tokenwatch key id v1\0", hashlib.sha256).digest()
    return "key_" + _base32(int.from_bytes(digest[:5], "big"), 8)


_VECTOR = bytes(range(32))
assert key_id(_VECTOR) == "key_862n1q9x"
assert token_id(_VECTOR, b"example-secret") == "tok_35602yf42tr1pnyk1wrynxw9gd"
