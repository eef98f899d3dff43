"""The place in a read, as opaque text."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

import msgspec

OVERLAP = timedelta(minutes=3)
"""Deltas reach back behind the watermark: stamps have whole seconds, and a record is stamped before it is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """``after`` is the last id that was given out. ``since`` (None: a full read) and ``watermark``, the start of
    this read, are ISO times of the vendor's clock."""

    entity: str
    after: int = 0
    since: str | None = None
    watermark: str | None = None
    is_complete: bool = True

    @classmethod
    def parse(cls, text: str | None, entity: str) -> Self:
        """An unusable text is the start of a full read."""
        if text is None:
            return cls(entity=entity)
        try:
            place = msgspec.json.decode(text, type=cls)
            for time in (place.since, place.watermark):
                if time is not None and datetime.fromisoformat(time).tzinfo is None:
                    return cls(entity=entity)
        except (msgspec.MsgspecError, ValueError):
            return cls(entity=entity)
        if place.entity != entity or place.after < 0:
            return cls(entity=entity)
        return place

    def text(self) -> str:
        return msgspec.json.encode(self).decode()

    def at(self, after: int, *, is_complete: bool) -> Self:
        return replace(self, after=after, is_complete=is_complete)

    def begun(self, moment: datetime) -> Self:
        """With the start of the read, on the vendor's clock."""
        return replace(self, watermark=moment.isoformat(timespec="seconds"))

    def next_delta(self) -> str | None:
        """The cursor after the last page; None where the vendor told no time."""
        if self.watermark is None:
            return None
        # What did not add up must be looked for again from where this read began.
        since = self.since if self.since and not self.is_complete else self.watermark
        return Place(entity=self.entity, since=since).text()

    def modified_from(self) -> str | None:
        """The lower bound of DATE_MODIFY, with the portal's own offset."""
        if self.since is None:
            return None
        return (datetime.fromisoformat(self.since) - OVERLAP).isoformat(timespec="seconds")
