"""Private keys, the identities derived from them, and recovery of an identity from a signature.

Formats as in the protocol: a private key is 64 hex digits; an identity is the SHA3-256 of the *text* of the
uncompressed public key in hex; a signature is R, S and a recovery id, 65 bytes written as 130 hex digits, over
the SHA3-256 of the payload text exactly as sent.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import NewType

from coincurve import PrivateKey as _Secp256k1Key
from coincurve import PublicKey

from kolony.errors import BadRequest, InvalidSignature

Identity = NewType("Identity", str)

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_HALF_ORDER = (_ORDER // 2).to_bytes(32, "big")
_SIGNATURE_BYTES = 65
_RECOVERY_IDS = 4


class PrivateKey:
    """A signing key. It never shows itself in ``repr`` or ``str``; ask for ``hex`` when it has to be written."""

    __slots__ = ("_key", "identity")

    def __init__(self, text: str) -> None:
        """Read a key from 64 hex digits; raise `BadRequest` for anything else."""
        try:
            if len(text) != 64:
                raise ValueError
            number = int(bytes.fromhex(text).hex(), 16)
        except ValueError:
            raise BadRequest("a private key is 64 hex digits") from None
        if not 0 < number < _ORDER:
            raise BadRequest("the private key is outside the range of the curve")
        self._key = _Secp256k1Key(number.to_bytes(32, "big"))
        self.identity = _identity(self._key.public_key)

    @classmethod
    def generate(cls) -> PrivateKey:
        """Make a new random key."""
        return cls((secrets.randbelow(_ORDER - 1) + 1).to_bytes(32, "big").hex())

    @property
    def hex(self) -> str:
        """The key itself, 64 hex digits: a secret."""
        return self._key.secret.hex()

    @property
    def public_hex(self) -> str:
        """The uncompressed public key, 130 hex digits."""
        return self._key.public_key.format(compressed=False).hex()

    def sign(self, payload: bytes) -> str:
        """Sign the payload text; deterministic (RFC 6979), always with S in the lower half."""
        return self._key.sign_recoverable(hashlib.sha3_256(payload).digest(), hasher=None).hex()

    def __repr__(self) -> str:
        return f"PrivateKey(identity={self.identity!r})"


def recover(payload: bytes, signature: str) -> Identity:
    """The identity that signed ``payload``.

    Recovery ids 4 to 7 mean the same as 0 to 3, and an S above half the curve's order is refused; a signature
    from which a public key can be recovered is valid for that key by construction.

    Raises:
        InvalidSignature: with the protocol's text, when no identity can be recovered.
    """
    try:
        raw = bytes.fromhex(signature)
    except ValueError:
        raise InvalidSignature("Invalid signature, it is not hexadecimal") from None
    if len(raw) != _SIGNATURE_BYTES or len(signature) != 2 * _SIGNATURE_BYTES:
        raise InvalidSignature("Invalid signature length")
    recovery_id = raw[64]
    if recovery_id >= 2 * _RECOVERY_IDS:
        raise InvalidSignature(f"Failed to recover public key: recovery id {recovery_id} is not between 0 and 7")
    if raw[32:64] > _HALF_ORDER:
        raise InvalidSignature("Failed verify signature: Signature s value is over half the order")
    compact = raw if recovery_id < _RECOVERY_IDS else raw[:64] + bytes((recovery_id - _RECOVERY_IDS,))
    try:
        key = PublicKey.from_signature_and_message(compact, hashlib.sha3_256(payload).digest(), hasher=None)
    except Exception as error:
        # coincurve raises bare Exception and ValueError alike for R or S that fit no point
        raise InvalidSignature("Failed to recover public key: invalid signature") from error
    return _identity(key)


def _identity(key: PublicKey) -> Identity:
    text = key.format(compressed=False).hex().encode()
    return Identity(hashlib.sha3_256(text).hexdigest())
