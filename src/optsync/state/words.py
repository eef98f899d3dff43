"""Making words of the texts that are written."""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from optsync.state.columns import digest_of, word
from optsync.state.prepared import Prepared, any_of
from optsync.state.rows import chunks, insert_new

_FIND = Prepared(sa.select(word.c.text, word.c.id).where(word.c.digest.in_(any_of("digests"))))


def numbered(connection: Connection, texts: Iterable[str | None]) -> dict[str | None, int | None]:
    """The numbers of these words, those that are new included; None has none."""
    digests = {text: digest_of(text) for text in texts if text is not None}
    found: dict[str | None, int | None] = {None: None}
    for part in chunks(digests):
        found.update(_FIND.all(connection, digests=[digests[text] for text in part]))
    # In order, so that of two who make the same ones neither waits for the other in vain.
    missing = sorted(digests.keys() - found.keys())
    if missing:
        insert_new(connection, word, [{"digest": digests[text], "text": text} for text in missing])
        for part in chunks(missing):
            found.update(_FIND.all(connection, digests=[digests[text] for text in part]))
    return found


def known(connection: Connection, texts: Iterable[str]) -> set[str]:
    """Those of the texts that are words, as whatever a row names is."""
    found: set[str] = set()
    for part in chunks(list(texts)):
        found.update(_FIND.scalars(connection, digests=[digest_of(text) for text in part]))
    return found
