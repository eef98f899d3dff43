"""Members as a listing shows them. Most rows of a full read are as they were, and no more of them is parsed than tells
so."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import msgspec

from optsync.connect.http import parsed


class Row(msgspec.Struct):
    """What has to be known of every member; ``raw`` is all of it."""

    contact_id: str | None = None
    id: str | None = None
    email_address: str | None = None
    last_changed: str | None = None
    raw: msgspec.Raw = msgspec.Raw()

    @property
    def key(self) -> str:
        return self.contact_id or self.id or "?"

    def member(self) -> Mapping[str, Any]:
        """All of it, parsed."""
        body, _ = parsed(self.raw)
        return body if isinstance(body, dict) else {}


class _Listing(TypedDict):
    """An answer; the last two are those of a problem that comes as a success."""

    members: list[msgspec.Raw]
    total_items: int
    title: NotRequired[Any]
    status: NotRequired[Any]


LISTING = msgspec.json.Decoder(_Listing)
_ROW = msgspec.json.Decoder(Row)
_NAMES = ("contact_id", "id", "email_address", "last_changed")


def rows_of(body: Mapping[str, Any]) -> list[Row]:
    """The members of an answer, decoded by ``LISTING`` or, where it did not fit, plainly. What is no object is none."""
    members = body["members"]
    raws = (one if isinstance(one, msgspec.Raw) else msgspec.Raw(msgspec.json.encode(one)) for one in members)
    return [row for raw in raws if (row := _row(raw)) is not None]


def _row(raw: msgspec.Raw) -> Row | None:
    try:
        row = _ROW.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Something in it is not what the vendor says it is.
        found, _ = parsed(raw)
        if not isinstance(found, dict):
            return None
        row = msgspec.convert({name: str(found[name]) for name in _NAMES if found.get(name)}, Row)
    row.raw = raw
    return row
