"""Which rows of a page are looked at."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from optsync.clock import ManualClock
from optsync.model.page import Page, RowFault, Unmade, look_up
from optsync.model.record import Record, Status
from optsync.state.codec import fingerprint_of
from optsync.state.store import Store
from optsync.sync.sifting import Sifted, sift
from tests.state.rows import NOW, member


@dataclass
class Rows:
    """Rows of a vendor: each a record, or None where it cannot be used, and a digest."""

    shown: Mapping[str, tuple[Record | None, bytes]]
    made: list[str] = field(default_factory=list)

    def make(self, ids: Iterable[str]) -> tuple[list[Record], list[RowFault]]:
        records: list[Record] = []
        faults: list[RowFault] = []
        for rid in ids:
            self.made.append(rid)
            record, _ = self.shown[rid]
            records += [record] if record else []
            faults += [] if record else [RowFault(record=rid, field=None, message="rubbish")]
        return records, faults

    def page(self) -> Page:
        unmade = Unmade(digests={rid: digest for rid, (_, digest) in self.shown.items()}, make=self.make)
        return replace(look_up([]), unmade=unmade)


@pytest.fixture
def store() -> Iterator[Store]:
    """m1 is known by the digest "one", m2 and m3 by what they show; m3 was missing."""
    opened = Store("sqlite://", ManualClock(NOW))
    opened.migrate()
    with opened.transaction() as unit:
        source = unit.sources.require("mc", "list").id
        records = [member(1), member(2), member(3)]
        keys = unit.records.insert(source, records, at=NOW, digests={"m1": b"one"})
        unit.records.set_missing([keys["m3"]], since=NOW, is_gone=False)
    yield opened
    opened.close()


def sifted(store: Store, page: Page, *, compares: bool = True) -> Sifted:
    with store.transaction() as unit:
        return sift(unit, unit.sources.require("mc", "list"), page, compares=compares)


def test_a_row_as_it_was_is_shown_and_not_made(store: Store) -> None:
    rows = Rows({"m1": (member(1), b"one"), "m9": (member(9), b"nine")})
    found = sifted(store, rows.page())
    assert rows.made == ["m9"]
    assert (set(found.shown), set(found.records), found.renewed) == ({"m1", "m9"}, {"m9"}, {})


def test_another_digest_is_looked_at_whatever_it_shows(store: Store) -> None:
    rows = Rows({"m1": (member(1, status=Status.OUT), b"two")})
    assert sifted(store, rows.page()).records == {"m1": member(1, status=Status.OUT)}


def test_a_row_that_shows_what_a_write_left_is_known_by_its_digest_from_now_on(store: Store) -> None:
    moved = replace(member(2), modified_at=NOW + timedelta(hours=1))
    found = sifted(store, Rows({"m2": (moved, b"two")}).page())
    assert (found.records, list(found.renewed.values()), list(found.shown)) == ({}, [b"two"], ["m2"])


def test_who_was_missing_is_news_however_unchanged(store: Store) -> None:
    with store.transaction() as unit:
        source = unit.sources.require("mc", "list").id
        unit.records.note_digests({unit.records.known(source, ["m3"])["m3"].key: b"three"})
    assert set(sifted(store, Rows({"m3": (member(3), b"three")}).page()).records) == {"m3"}


def test_at_a_first_sight_everything_is_looked_at(store: Store) -> None:
    found = sifted(store, Rows({"m1": (member(1), b"one"), "m2": (member(2), b"two")}).page(), compares=False)
    assert (set(found.records), found.renewed) == ({"m1", "m2"}, {})


def test_a_row_that_cannot_be_used_is_a_fault_and_not_shown(store: Store) -> None:
    found = sifted(store, Rows({"m1": (None, b"two"), "m2": (member(2), b"two")}).page())
    assert ([f.record for f in found.faults], list(found.shown)) == (["m1"], ["m2"])


def test_records_without_digests_are_compared_by_what_they_show(store: Store) -> None:
    found = sifted(store, look_up([member(1), member(2)]))
    assert (set(found.records), set(found.shown), found.renewed) == ({"m1"}, {"m1", "m2"}, {})
    with store.reading() as unit:
        known = unit.records.known(unit.sources.require("mc", "list").id, ["m2"])
    assert known["m2"].fingerprint == fingerprint_of(member(2))
