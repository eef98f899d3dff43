"""Reads: what is asked for, and the pages that come back."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from optsync.model.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSpec:
    """What to read of one collection (a CRM entity, an ESP audience): the union of what its syncs need."""

    collection: str
    fields: frozenset[str] = frozenset()
    """Vendor field names, as the configuration gives them."""
    flags: frozenset[str] = frozenset()
    """Those of ``fields`` that say who may be mailed: they must show True, False or None and nothing else."""
    topics: frozenset[str] = frozenset()
    """Vendor topic names, as the configuration gives them."""
    lists: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """List scopes by name, each in the vendor's own filter terms. They never restrict what is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFault:
    """One row that cannot be used: it is quarantined alone. ``value`` may hold an address; it is not logged.
    ``readable``: what the row says all the same about flags and topics, and no name of one that cannot be read. Of that
    only what restricts is heard, and only of a record that is known."""

    record: str
    field: str | None
    message: str
    value: str | None = None
    readable: Record | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmade:
    """Rows that are made into records only when they are news: most of a full read are as they were.

    ``digests``, by record id, are of everything that the record would be made of: the row, and whatever else decides
    what it means. The same digest again means the same record again, and no fault. ``make`` makes records, and faults,
    of the rows with these ids; it may be asked again.
    """

    digests: Mapping[str, bytes]
    make: Callable[[Iterable[str]], tuple[Sequence[Record], Sequence[RowFault]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a read, in bounded memory.

    ``cursor`` is opaque: given to the next ``read`` it resumes after this page; the last page's cursor starts
    the next delta (None where the system has no delta: the next read is a full one). ``is_full`` says that the
    pages of this read together show the whole collection, provided that the last one says ``is_complete``.
    """

    records: tuple[Record, ...]
    faults: tuple[RowFault, ...] = ()
    cursor: str | None
    is_last: bool
    is_full: bool
    is_complete: bool = True
    """False when the vendor's answers did not add up (totals that moved, rows missing): such a read adds
    knowledge and takes none away."""
    expected_total: int | None = None
    """How many records the whole read will show, where the vendor says; for progress only."""
    unmade: Unmade | None = None
    """Rows besides ``records`` and ``faults``; only :meth:`optsync.connect.contract.CanReadRows.read_rows` has any."""

    @property
    def count(self) -> int:
        """How many records there are, faults among the unmade included."""
        return len(self.records) + (len(self.unmade.digests) if self.unmade else 0)

    def whole(self) -> "Page":
        """The page with all its records made."""
        if self.unmade is None:
            return self
        records, faults = self.unmade.make(self.unmade.digests)
        return replace(self, records=(*self.records, *records), faults=(*self.faults, *faults), unmade=None)


def look_up(records: Sequence[Record]) -> Page:
    """Single records that were asked for, as a page that says nothing of others."""
    return Page(records=tuple(records), cursor=None, is_last=True, is_full=False)
