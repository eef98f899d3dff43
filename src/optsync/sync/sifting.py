"""Which readings may be news: most of a full read are as they were, and cost a comparison and no more."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from optsync.model.page import Page, RowFault
from optsync.model.record import Record
from optsync.state.codec import fingerprint_of
from optsync.state.records import Known
from optsync.state.sources import Source
from optsync.state.unit import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Sifted:
    """A page against what is stored. ``shown``: the ids of all its records; ``records``: those that may be news, by
    id; ``renewed``: digests of rows that turned out to show what is stored, by the key of the record. ``compared``: the
    keys of those that count as unchanged if they look so."""

    shown: Collection[str]
    known: Mapping[str, Known]
    compared: Collection[int]
    records: Mapping[str, Record]
    renewed: Mapping[int, bytes]
    faults: Sequence[RowFault]


def sift(unit: Unit, source: Source, page: Page, *, compares: bool) -> Sifted:
    """``compares``: otherwise everything is news."""
    digests = page.unmade.digests if page.unmade else {}
    known = unit.records.known(source.id, [*(record.id for record in page.records), *digests])
    held = unit.points.holders(one.key for one in known.values()) if compares else ()
    plain = {rid: one for rid, one in known.items() if one.is_plain and one.key not in held} if compares else {}
    before = {rid: one.fingerprint for rid, one in plain.items()}
    alike = {rid for rid, digest in digests.items() if before.get(rid) == digest}
    made, faults = page.unmade.make(rid for rid in digests if rid not in alike) if page.unmade else ((), ())
    records = {record.id: record for record in (*page.records, *made)}
    same = {rid for rid, found in before.items() if rid in records and fingerprint_of(records[rid]) == found}
    return Sifted(
        shown=dict.fromkeys((*records, *(rid for rid in digests if rid in alike))),
        known=known,
        compared={one.key for one in plain.values()},
        records={rid: record for rid, record in records.items() if rid not in same},
        renewed={known[rid].key: digests[rid] for rid in same if rid in digests},
        faults=(*page.faults, *faults),
    )


def without(sifted: Sifted, aside: Collection[str], unseen: Collection[str] = ()) -> Sifted:
    """The same without the readings of these records, which stay as they were; those ``aside`` are there all the
    same, of those ``unseen`` nobody knows."""
    if not aside and not unseen:
        return sifted
    is_there = [rid for rid in sifted.shown if rid not in aside or rid in sifted.known]
    return replace(
        sifted,
        shown=dict.fromkeys(rid for rid in is_there if rid not in unseen),
        records={rid: record for rid, record in sifted.records.items() if rid not in aside and rid not in unseen},
    )
