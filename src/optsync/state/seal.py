"""The digests that prove the ledger: of an address, of a statement, of a block. Pure; how they hang together is in
:mod:`optsync.state.chain`.

Two digests stand for a statement. Its *proof* covers everything, salted, so that it can stay when the person is
forgotten and what it covered is erased: without the salt nobody can try out what it was made of. Until then it can be
made again at any time, and its first bytes are kept, which tell the statement of a block that was edited. Its *leaf*
covers the proof and what is never erased, so that these parts are proven even then; only the block's hash holds it.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec

START = bytes(32)
"""What the first block names as the hash before it."""
SALT = 16
"""Bytes of a salt."""
_MARK = 4
_LASTING = (
    "uid",
    "scope",
    "kind",
    "at",
    "clock",
    "seen_at",
    "source",
    "strength",
    "is_personal",
    "system",
    "target",
    "run",
)
_lasting = itemgetter(*_LASTING)
_encode = msgspec.json.Encoder().encode

Digests = tuple[bytes, bytes]
"""A statement's proof and its leaf."""


def address_seal(salt: bytes, address: str) -> bytes:
    """Binds a contact point to its address."""
    return hashlib.sha256(b"optsync address 1\0" + salt + address.encode()).digest()


def proof(salt: bytes, seal: bytes, row: Mapping[str, Any], evidence: str | None) -> bytes:
    """Of all parts of a statement but its id, in the database's form: times as microseconds, truth as 0 and 1.
    ``seal``: its contact point's; ``evidence``: as stored."""
    text = _encode((*_lasting(row), row["reason"], row["record"], evidence))
    return hashlib.sha256(b"optsync proof 1\0" + salt + seal + text).digest()


def mark(made: bytes) -> bytes:
    """What is kept of a proof that can be made again."""
    return made[:_MARK]


def is_mark(kept: bytes, made: bytes) -> bool:
    """Whether that was kept of this proof; a release before this one has kept all of it."""
    return kept in (mark(made), made)


def leaf(statement_id: int, seal: bytes, made: bytes, row: Mapping[str, Any]) -> bytes:
    """Of what stays of a statement when the person is forgotten; ``made`` is its proof."""
    text = _encode((statement_id, *_lasting(row)))
    return hashlib.sha256(b"optsync statement 1\0" + seal + made + text).digest()


def proof_and_leaf(
    statement_id: int, salt: bytes, seal: bytes, row: Mapping[str, Any], evidence: str | None
) -> Digests:
    """Both of a statement about to be written; what they have in common is encoded once."""
    lasting = _encode(_lasting(row))[1:-1]
    private = _encode((row["reason"], row["record"], evidence))
    made = hashlib.sha256(b"".join((b"optsync proof 1\0", salt, seal, b"[", lasting, b",", private[1:]))).digest()
    text = b"".join((b"optsync statement 1\0", seal, made, b"[%d," % statement_id, lasting, b"]"))
    return made, hashlib.sha256(text).digest()


def block_hash(previous: bytes, number: int, at: int, leaves: Sequence[bytes]) -> bytes:
    """``leaves``: in the order of the statements' ids. ``at``: microseconds."""
    text = _encode([number, at, len(leaves)])
    return hashlib.sha256(b"".join((b"optsync block 1\0", previous, text, b"\0", *leaves))).digest()


def sign(key: bytes, block: bytes) -> bytes:
    """The signature of a block's hash: whoever can edit the database and has no key can't renew it."""
    return hmac.digest(key, b"optsync ledger 1\0" + block, "sha256")


def signer(keys: Sequence[bytes], block: bytes, mac: bytes) -> int | None:
    """The place of the key that signed the block's hash; None: none of them."""
    return next((n for n, key in enumerate(keys) if hmac.compare_digest(sign(key, block), mac)), None)
