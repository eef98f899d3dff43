"""The kinds of columns: times, texts that many rows repeat, digests."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, Dialect, Integer, LargeBinary, MetaData, String, Table, Text, TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DIGEST = 16
"""Bytes of a digest."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

Key = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only for INTEGER primary keys."""

Converter = Callable[[Any], Any]


# times


def microseconds(moment: datetime) -> int:
    """As times are stored. Raises: ValueError, without a time zone."""
    if moment.tzinfo is None:
        raise ValueError("a time without a time zone")
    return (moment - _EPOCH) // _MICROSECOND


class Moment(TypeDecorator[datetime]):
    """An aware time; a naive one is a bug and is refused."""

    impl = BigInteger
    cache_ok = True

    # The processors themselves, and not the two methods that they would call: times are in every row.

    def bind_processor(self, dialect: Dialect) -> Converter:  # noqa: ARG002
        return _to_database

    def result_processor(self, dialect: Dialect, coltype: object) -> Converter:  # noqa: ARG002
        return _from_database


def _to_database(value: datetime | None) -> int | None:
    return None if value is None else microseconds(value)


@lru_cache(maxsize=2048)  # a page is read, a batch is planned and settled at one moment
def _from_database(value: Any) -> datetime | None:
    return None if value is None else _EPOCH + timedelta(microseconds=int(value))


# texts of others


def storable(text: str) -> str:
    """Without the one character that PostgreSQL takes into no text; what SQLite has may be copied there some day."""
    return text.replace("\0", "\ufffd")


class Told(TypeDecorator[str]):
    """Words of others, a vendor's for instance, which may hold any character."""

    impl = Text
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Converter:  # noqa: ARG002
        return _to_storable

    def result_processor(self, dialect: Dialect, coltype: object) -> None:  # noqa: ARG002
        return None


class Named(TypeDecorator[str]):
    """What others call something. A name that is longer than the column is cut, also where it is looked for."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def bind_processor(self, dialect: Dialect) -> Converter:  # noqa: ARG002
        length = self.length
        return lambda text: None if text is None else storable(text[:length])

    def result_processor(self, dialect: Dialect, coltype: object) -> None:  # noqa: ARG002
        return None


def _to_storable(text: str | None) -> str | None:
    return None if text is None else storable(text)


# digests


def to_bytes(text: str) -> bytes:
    """32 hexadecimal digits as the 16 bytes that they stand for, another text as it is; one that would be as long has
    a zero before it."""
    if len(text) == 2 * _DIGEST:
        try:
            digest = bytes.fromhex(text)
        except ValueError:
            pass
        else:
            if digest.hex() == text:
                return digest
    plain = text.encode()
    return b"\0" + plain if len(plain) >= _DIGEST and (len(plain) == _DIGEST or plain[0] == 0) else plain


def to_text(stored: bytes) -> str:
    """What :func:`to_bytes` was given."""
    if len(stored) == _DIGEST:
        return stored.hex()
    return stored[len(stored) > _DIGEST and stored[0] == 0 :].decode(errors="replace")


class HexText(TypeDecorator[str]):
    """A text that is a digest in hexadecimal digits, as a rule: it takes half the room as bytes."""

    impl = LargeBinary
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Converter:  # noqa: ARG002
        return _to_stored

    def result_processor(self, dialect: Dialect, coltype: object) -> Converter:  # noqa: ARG002
        return _from_stored


def _to_stored(text: str | None) -> bytes | None:
    if text is None:
        return None
    return text.encode() if len(text) < _DIGEST // 4 else to_bytes(text)


def _from_stored(stored: bytes | None) -> str | None:
    if stored is None:
        return None
    size = len(stored)
    return stored.hex() if size == _DIGEST else stored.decode() if size < _DIGEST else to_text(stored)


class HexTexts(TypeDecorator[Sequence[str]]):
    """Several of them, one after the other."""

    impl = LargeBinary
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Converter:  # noqa: ARG002
        return _to_row_of_digests

    def result_processor(self, dialect: Dialect, coltype: object) -> Converter:  # noqa: ARG002
        return _from_row_of_digests


def _to_row_of_digests(texts: Sequence[str]) -> bytes:
    digests = [to_bytes(text) for text in texts]
    if all(len(digest) == _DIGEST for digest in digests):
        return b"".join(digests)
    plain = msgspec.json.encode(list(texts))
    return plain if len(plain) % _DIGEST else plain + b" "


def _from_row_of_digests(stored: bytes) -> list[str]:
    if len(stored) % _DIGEST:
        return msgspec.json.decode(stored, type=list[str])
    return [stored[at : at + _DIGEST].hex() for at in range(0, len(stored), _DIGEST)]


# texts that many rows repeat

word = Table(
    "word",
    metadata,
    Column("id", Key, primary_key=True),
    Column("digest", LargeBinary(_DIGEST), nullable=False, unique=True),
    Column("text", Text, nullable=False),
)
"""Scopes, systems, runs, the names of what records have: few, and named by many rows. None is ever taken away, and
none tells of a person."""


def digest_of(text: str) -> bytes:
    """By which a word is found: a text may be longer than what PostgreSQL takes into an index."""
    return blake2b(text.encode(), digest_size=_DIGEST).digest()


class _Wanted(TypeDecorator[str]):
    """The digest of a text that is looked for."""

    impl = LargeBinary
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Converter:  # noqa: ARG002
        return lambda text: None if text is None else digest_of(text)


class Word(TypeDecorator[str]):
    """A text that is kept in ``word``: the column holds its number, and a statement is given and gives the text. What
    is no word yet is found nowhere; before it is written it must be made one (:func:`optsync.state.words.numbered`)."""

    impl = BigInteger
    cache_ok = True

    def bind_expression(self, bindparam: Any) -> sa.ColumnElement[Any]:
        wanted = sa.type_coerce(bindparam, _Wanted())
        return sa.select(word.c.id).where(word.c.digest == wanted).scalar_subquery()

    def column_expression(self, column: Any) -> sa.ColumnElement[Any]:
        return sa.select(word.c.text).where(word.c.id == column).scalar_subquery()

    def bind_processor(self, dialect: Dialect) -> None:  # noqa: ARG002
        return None

    def result_processor(self, dialect: Dialect, coltype: object) -> None:  # noqa: ARG002
        return None
