"""Keyed hashes that stand for forgotten addresses: without the secret key nobody can guess them."""

import hashlib
import hmac

from optsync.errors import ConfigError
from optsync.state.chain import Keys

_ADDRESS, _RECORD, _KEY = b"forgotten address\x00", b"forgotten record\x00", b"fingerprint of a key\x00"
_MARK = "~"


class Pseudonyms:
    """Hashes by the secret keys: the first one hashes, all of them recognise. They are asked for only when there is
    something to hash."""

    def __init__(self, keys: Keys | None) -> None:
        self._keys = keys

    @property
    def first(self) -> str:
        """The fingerprint of the key that hashes."""
        return fingerprint(self._all()[0])

    def of(self, address: str) -> bytes:
        """The hash of a normalised address by the first key."""
        return _hash(self._all()[0], _ADDRESS, address)

    def each(self, address: str) -> list[bytes]:
        """Its hash by every key, the first key's first."""
        return [_hash(key, _ADDRESS, address) for key in self._all()]

    def records(self, record: str) -> list[str]:
        """What may stand for a record's id that gives the address away, by every key, the first key's first."""
        return [_MARK + _hash(key, _RECORD, record).hex() for key in self._all()]

    def _all(self) -> tuple[bytes, ...]:
        keys = tuple(self._keys()) if self._keys else ()
        if not keys:
            raise ConfigError("secret_keys: none is given, and nobody can be forgotten without one")
        return keys


def fingerprint(key: bytes) -> str:
    """Names a key without giving it away."""
    return hmac.digest(key, _KEY, hashlib.sha256)[:8].hex()


def is_pseudonym(record: str) -> bool:
    """Whether a stored record id stands for one that would give the address away."""
    return len(record) == len(_MARK) + 64 and record.startswith(_MARK)


def _hash(key: bytes, purpose: bytes, text: str) -> bytes:
    return hmac.digest(key, purpose + text.encode(), hashlib.sha256)
