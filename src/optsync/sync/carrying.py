"""Addresses that appear on records: what follows them there, and whether a merge brought them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from optsync.connect.contract import Absence
from optsync.model.contact_point import same_mailbox
from optsync.model.record import Record, Side
from optsync.model.statement import OUR_CLOCK, Statement, StatementKind, Strength
from optsync.reconcile.carry import Moved, grants, restated, restrictions
from optsync.reconcile.consent import unbeaten
from optsync.reconcile.detect import Detected, Said
from optsync.reconcile.putback import is_said_by
from optsync.reconcile.reading import Reading as ReadWhen
from optsync.state.pseudonyms import is_pseudonym
from optsync.state.records import Observed
from optsync.state.unit import Unit
from optsync.sync.binding import SourceBinding
from optsync.sync.renaming import flags_shown


class NeedsLookUp(Exception):
    """Addresses appeared on records while these others held them; nothing of the page was stored. Look whether the
    others are still there and take the page again."""

    def __init__(self, records: Collection[str]) -> None:
        super().__init__(f"{len(records)} records to look up")
        self.records = tuple(sorted(records))


class Reading(Protocol):
    """A record that was read, what was stored of it, its usable addresses, what the two tell, and whether there are
    more addresses now."""

    @property
    def record(self) -> Record: ...

    @property
    def old(self) -> Observed | None: ...

    @property
    def points(self) -> tuple[str, ...]: ...

    @property
    def detected(self) -> Detected: ...

    @property
    def has_more(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """``there``: record ids that were looked up and whether they still exist. ``no_grants``: scopes of syncs in which
    no grant follows an address. ``read_at``: when the last reading of the source ended."""

    reading: ReadWhen
    tolerance: timedelta
    there: Mapping[str, bool]
    no_grants: Collection[str] = ()
    read_at: datetime | None = None


class Carrier:
    """Carries statements between the addresses of one source's records."""

    def __init__(self, unit: Unit, binding: SourceBinding, source_id: int, terms: Terms) -> None:
        self._unit = unit
        self._binding = binding
        self._source_id = source_id
        self._terms = terms
        self._lost: dict[str, list[Observed]] = {}
        """By address: records that held it and were merged away."""
        self._doubtful: set[str] = set()
        """Addresses of records that come with a consent, and of others that were there before and are not any more."""
        self._before: dict[int, Record] = {}
        """The records of the page as they were, by key."""

    def find_merged(self, news: Sequence[Reading], page: Collection[str]) -> None:
        """Finds out which records are gone whose addresses appeared on others: merged away in a CRM, made anew on a
        platform, where an address is there once. ``page``: the ids of all records that were read, usable or not.

        Raises:
            NeedsLookUp: see there.
        """
        self._before = {item.old.key: item.old.record for item in news if item.old is not None}
        if self._binding.side is not Side.CRM and self._binding.absence is not Absence.DELETED:
            return
        names = {key: address for address, key in self._appeared(news).items()}
        shared = self._with_consent(news) if self._binding.side is Side.CRM else {}
        asked = names.keys() | shared.keys()
        held = self._unit.records.load(self._unit.records.holding(asked, [self._source_id])) if asked else []
        held = [o for o in held if o.record.id not in page]
        lost = [o for o in held if self._is_found_gone(o)]
        others = [o for o in held if not o.is_gone]
        # A forgotten person's record may be stored under another id than its own, by which nobody can ask for it.
        others = [o for o in others if not is_pseudonym(o.record.id)]
        unknown = {o.record.id for o in others} - self._terms.there.keys()
        if unknown:
            raise NeedsLookUp(unknown)
        lost += [o for o in others if not self._terms.there[o.record.id]]
        for each in lost if self._binding.side is Side.CRM else ():
            for key in names.keys() & set(each.points):
                self._lost.setdefault(names[key], []).append(each)
            self._doubtful.update(shared[key] for key in shared.keys() & set(each.points))
        self._believe_gone(lost)

    def _believe_gone(self, lost: Sequence[Observed]) -> None:
        """No look-up shows a row that is there and cannot be used: it may be either."""
        of_these = ("quarantined_record", self._binding.system, self._binding.collection)
        unreadable = self._unit.issues.records_with(*of_these) if lost else ()
        gone = [o for o in lost if o.record.id not in unreadable]
        self._unit.records.set_missing((o.key for o in gone), since=self._terms.reading.seen_at, is_gone=True)
        self._unit.points.mark(self._binding.concerned, {p for o in gone for p in o.points})

    def _is_found_gone(self, other: Observed) -> bool:
        """Whether a write has found it gone since the last reading: who took it in is read only now."""
        read_at, since = self._terms.read_at, other.missing_since
        return other.is_gone and read_at is not None and since is not None and since > read_at

    def _appeared(self, news: Sequence[Reading]) -> dict[str, int]:
        """The addresses that records did not have before and that are known, with their keys."""
        keys = self._unit.points.find({a for item in news for a in item.points})
        had = {item.record.id: set(item.old.points) if item.old else set() for item in news}
        return {a: keys[a] for item in news for a in item.points if a in keys and keys[a] not in had[item.record.id]}

    def _with_consent(self, news: Sequence[Reading]) -> dict[int, str]:
        """The addresses of records with a consent that is new, by their keys."""
        lifting = (item for item in news if any(_may_lift(each.statement) for each in item.detected.said))
        wanted = {a for item in lifting for a in item.points}
        return {key: address for address, key in self._unit.points.find(wanted).items()} if wanted else {}

    def said(self, item: Reading) -> Sequence[Said]:
        """What the reading says. A consent that a merge has brought was given for the record that is gone, and one that
        another record of these addresses shows was there before: both are seen here for the first time, and what is
        lifts nothing. Who has more addresses than before may have taken in a record that nobody has read."""
        said = item.detected.said
        if self._binding.side is not Side.CRM or not any(_may_lift(each.statement) for each in said):
            return said
        is_merged = item.has_more or bool(self._lost_to(item)) or not self._doubtful.isdisjoint(item.points)
        dates = self._dates_elsewhere(item)
        return [
            replace(each, statement=replace(each.statement, strength=Strength.NOTHING))
            if _may_lift(each.statement) and (is_merged or each.statement.evidence.get("consent_date") in dates)
            else each
            for each in said
        ]

    def _dates_elsewhere(self, item: Reading) -> set[str]:
        """The consent dates that other records of these addresses were last seen with before, of whatever kind: a lead
        that becomes a contact leaves it its date. A date that they all come with at once is new."""
        names = {r.consent_date for r in self._binding.representations if r.consent_date}
        keys = self._unit.points.find(item.points).values()
        held = self._unit.records.load(self._unit.records.holding(keys))
        held = [o for o in held if o.system == self._binding.system]
        own = (self._source_id, item.record.id)
        others = (self._before.get(o.key, o.record).fields for o in held if (o.source_id, o.record.id) != own)
        return {str(fields[name]) for fields in others for name in names if fields.get(name) is not None}

    def _lost_to(self, item: Reading) -> Sequence[Observed]:
        """The records that were merged into this one."""
        lost = {o.key: o for address in item.points for o in self._lost.get(address, ())}
        is_itself = item.old is not None and item.record.id in {o.record.id for o in lost.values()}
        return () if is_itself else tuple(lost.values())

    def is_ours(self, item: Reading) -> bool:
        """Whether the record shows the address that we gave it by a write whose answer was lost."""
        old = item.old
        address = old.unsure.address if old and old.unsure else None
        return address is not None and bool(item.points) and same_mailbox(item.points[0], address)

    def _former(self, item: Reading, listed: Sequence[int]) -> Sequence[int]:
        """The addresses that the record had before somebody changed them: with the one that we gave it, which took the
        first one's place, if it shows that by now."""
        if item.old is None or not self.is_ours(item):
            return item.old.points if item.old else ()
        return (listed[0], *(p for p in item.old.points[1:] if p != listed[0]))

    def spoken_for(self, item: Reading, each: Said, listed: Sequence[int]) -> Sequence[int]:
        """The points about which a statement of this reading is: the primary, or all addresses, those that vanished
        with it included, even if none is left; of who has had none, those of its members."""
        former = self._former(item, listed)
        if each.for_all and not former and not listed:
            return self._left_behind(item)
        if each.for_all:
            is_out = each.statement.kind is StatementKind.OUT
            return [*listed, *(p for p in former if is_out and p not in listed)]
        if not listed:
            return ()
        if self._is_of_former(item, each.statement, listed, former):
            return former[:1]
        return listed[:1]

    def vanished(self, item: Reading, listed: Sequence[int]) -> Sequence[int]:
        """The addresses that the record had and has not any more."""
        return [p for p in self._former(item, listed) if p not in listed]

    def _left_behind(self, item: Reading) -> Sequence[int]:
        """The addresses of members that a record without an address is still joined with. Who else has one of them by
        now speaks for it."""
        if item.old is None or self._binding.side is not Side.CRM:
            return ()
        links, records = self._unit.links, self._unit.records
        joined = {key for sync in self._binding.syncs for key in links.partners(sync, [item.old.key])}
        found = [o.points[0] for o in records.load(joined) if o.points and not o.is_gone]
        others = (o for o in records.load(records.holding(found)) if o.system == self._binding.system and not o.is_gone)
        held = {point for other in others for point in other.points}
        return [point for point in found if point not in held]

    def _is_of_former(self, item: Reading, said: Statement, listed: Sequence[int], former: Sequence[int]) -> bool:
        """A consent that a CRM dates before the change was given for the address that the record had then."""
        is_moved = self._binding.side is Side.CRM and bool(former) and former[0] not in listed
        is_consent = said.kind is StatementKind.GRANT and bool(said.evidence.get("consent_date"))
        return is_moved and is_consent and said.at < self._moved(item).at

    def carried(
        self,
        item: Reading,
        listed: Sequence[int],
        own: Sequence[tuple[int, Statement]],
        said: Sequence[tuple[int, Statement]],
    ) -> Iterator[tuple[int, Statement]]:
        """What the addresses of a record inherit. ``own``: what its reading says. ``said``: what all of the page say,
        and inherited before: as if each record were a page of its own, for where one begins is chance."""
        moved = self._moved(item)
        yield from self._merged(item, listed, moved)
        former = self._former(item, listed)
        appeared = [p for p in listed if p not in former]
        if not former or not appeared:
            return
        vanished = [p for p in former if p not in listed]
        stays = [p for p in former if p in listed] if self._binding.side is Side.CRM else []
        about = self._unit.ledger.about({*vanished, *stays})
        tolerance = self._terms.tolerance
        primary = [s for p, s in own if p == listed[0]]
        for origin in vanished:
            stood = (*about[origin], *(s for p, s in said if p == origin))
            follows = list(restrictions(stood, moved, tolerance=tolerance, said_now=primary))
            yield from ((p, s) for p in appeared for s in follows)
        left = [said for origin in vanished for said in about[origin]]
        yield from ((p, s) for p in appeared for s in flags_shown(self._binding, item.record, left))
        for origin in stays:
            # A flag of this record speaks for addresses that are added later, as of when it was set.
            flagged = [s for s in unbeaten(about[origin], tolerance=tolerance) if self._is_flag(s, item.record.id)]
            yield from ((p, s) for p in appeared for s in flagged)
        if former[0] in vanished and listed[0] in appeared:
            follows = list(self._grants(about[former[0]], moved, primary))
            yield from ((listed[0], s) for s in follows)

    def _grants(self, left: Sequence[Statement], moved: Moved, said: Sequence[Statement]) -> Iterable[Statement]:
        """Grants follow if the person made the change, which is so at the ESP, or consented at or after it."""
        if self._terms.reading.offset is None:
            return
        if self._binding.side is Side.ESP:
            yield from grants(left, moved, tolerance=self._terms.tolerance, but=self._terms.no_grants)
            return
        consented = {
            s.scope
            for s in said
            if s.kind is StatementKind.GRANT and s.evidence.get("consent_date") and s.at >= moved.at
        }
        for scope in sorted(consented):
            no_grants = self._terms.no_grants
            yield from grants(left, moved, tolerance=self._terms.tolerance, within=scope, but=no_grants)

    def _merged(self, item: Reading, listed: Sequence[int], moved: Moved) -> Iterator[tuple[int, Statement]]:
        """The flag of a record that was merged into this one speaks for all addresses of this one."""
        lost = self._lost_to(item)
        if not lost:
            return
        about = self._unit.ledger.about({p for o in lost for p in o.points})
        for each in lost:
            for point in each.points:
                for said in unbeaten(about[point], tolerance=self._terms.tolerance):
                    if self._is_flag(said, each.record.id):
                        yield from ((p, restated(said, moved)) for p in listed)

    def _is_flag(self, said: Statement, record: str) -> bool:
        return is_said_by(said, self._binding.system, self._binding.collection, record)

    def _moved(self, item: Reading) -> Moved:
        """When the addresses changed: at the record's stamp if it moved, else now."""
        stamp = item.record.modified_at
        is_told = stamp is not None and (item.old is None or stamp != item.old.record.modified_at)
        reading = self._terms.reading
        at, since = reading.seen_at, None if item.old is None else item.old.read_at
        if stamp is not None and is_told:
            at, since = reading.corrected(stamp, permits=False), reading.corrected(stamp, permits=True)
        return Moved(
            at=at,
            clock=self._binding.system if is_told else OUR_CLOCK,
            seen_at=reading.seen_at,
            system=self._binding.system,
            record=item.record.id,
            since=since,
        )


def _may_lift(said: Statement) -> bool:
    return said.kind is StatementKind.GRANT and said.strength is not Strength.NOTHING
