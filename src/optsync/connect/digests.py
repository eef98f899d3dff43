"""Digests of rows as a vendor showed them: what has the same one need not be looked at again."""

from hashlib import sha256
from typing import Any

import msgspec

from optsync.version import running

_encoder = msgspec.json.Encoder(order="deterministic")
_SIZE = 16


class Digests:
    """Digests of rows that mean the same. ``meaning``: everything besides the row that decides what record is made of
    it: the specification, what the vendor says of its fields, settings. Another version of this program may make
    another record of a row, and finds no digest that it knows."""

    def __init__(self, *meaning: Any) -> None:
        self._meaning = sha256(_encoder.encode([running(), *meaning])).digest()

    def of(self, row: Any) -> bytes:
        """``row``: as parsed, with whatever was found out about it alone."""
        # Keys stay in the vendor's order: another order is another digest, and costs a look at the row.
        return self.of_json(msgspec.json.encode(row))

    def of_json(self, row: bytes | msgspec.Raw) -> bytes:
        """``row``: as it came."""
        # SHA-256 is what processors have instructions for: half the time of anything else that one would trust.
        return sha256(self._meaning + row).digest()[:_SIZE]
