"""Keys, identities and signatures of the protocol (secp256k1 over SHA3-256)."""

from kolony.crypto.keys import Identity, PrivateKey, recover

__all__ = ["Identity", "PrivateKey", "recover"]
