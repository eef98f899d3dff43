"""Keeps forgotten people's clear text out of the state while their records go on being read and written."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from optsync.model.change import ChangeKind, Outcome
from optsync.model.record import Record, Side, Status
from optsync.model.statement import Statement, StatementKind, Strength
from optsync.reconcile import erasure
from optsync.reconcile.consent import Wish, standing
from optsync.reconcile.detect import Said
from optsync.state.changes import Change
from optsync.state.erasures import without_values
from optsync.state.unit import Unit
from optsync.sync.binding import SourceBinding
from optsync.sync.nominations import Confirmed, as_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """A forgotten person's new opt-in, newer than the erasure and with evidence of its own. ``since``: when the out
    was said that it would lift. ``is_certain``: it rests on no stamp that an API write can set."""

    record: str
    address: str
    statement: Statement
    since: datetime
    is_certain: bool


class Screen:
    """Readings of one source, and the forgotten addresses that they hold. ``true_ids``: the real ids of records that
    are stored under a pseudonym, by the pseudonym. ``is_anybody_back``: whether one of them was let back in."""

    def __init__(self, unit: Unit, binding: SourceBinding, records: Iterable[Record] = ()) -> None:
        self._unit = unit
        self._binding = binding
        self._keys: dict[str, int] = {}
        self._by_record: dict[str, frozenset[str]] = {}
        self.true_ids: dict[str, str] = {}
        self.is_anybody_back = False
        read = list(records)
        if read and unit.points.has_forgotten():
            self._look(read)

    def _look(self, records: Sequence[Record]) -> None:
        listed = {record.id: erasure.usable(record.addresses) for record in records}
        everybody = {address for addresses in listed.values() for address in addresses}
        self._keys = self._unit.points.find(everybody)
        forgotten = self._unit.points.forgotten(self._keys.values())
        self._keys = {address: key for address, key in self._keys.items() if key in forgotten}
        for rid, addresses in listed.items():
            if held := self._keys.keys() & set(addresses):
                self._by_record[rid] = frozenset(held)

    def rename(self, records: Mapping[str, Record]) -> Mapping[str, Record]:
        """The readings by id; ids that would give a forgotten address away are replaced by pseudonyms."""
        if not self._by_record:
            return records
        renamed: dict[str, Record] = {}
        for rid, record in records.items():
            stored = self._stored_id(rid)
            if stored != rid:
                self.true_ids[stored] = rid
                self._by_record[stored] = self._by_record.pop(rid)
            renamed[stored] = replace(record, id=stored)
        return renamed

    def _stored_id(self, rid: str) -> str:
        if any(erasure.gives_away(rid, address) for address in self._by_record.get(rid, ())):
            return pseudonym(self._unit, rid)
        return rid

    def before(self, now: Record, old: Record | None, points: Collection[int]) -> Record | None:
        """What a reading is compared with; ``points``: the keys of the addresses that the record had. Whoever is not on
        a forgotten person's list any more and signs up there again says something new, as far as the platform itself
        vouches for it; a list that is merely imported again says nothing."""
        if old is None:
            return Record(id=now.id, status=Status.ABSENT) if self._is_esp and self.is_own(now) else None
        since = self._forgotten_since(now) if self.is_own(now) else self._was_forgotten(old, points)
        return old if since is None else erasure.as_before(old, now, self._binding.representations, since)

    @property
    def _is_esp(self) -> bool:
        return self._binding.side is Side.ESP

    def _was_forgotten(self, old: Record, points: Collection[int]) -> datetime | None:
        """When the owner was forgotten who has come back since and whose record was not read anew yet: of that, no
        stamp was kept."""
        former = self._unit.points.nameless(points) if old.modified_at is None else frozenset()
        moments = [at for key in former if (at := self._unit.points.forgotten_since(key)) is not None]
        return max(moments, default=None)

    def is_own(self, record: Record) -> bool:
        """Whether the record is a forgotten person's own."""
        held = self._by_record.get(record.id)
        return held is not None and erasure.is_owner(record, held)

    def holds(self, rid: str) -> bool:
        """Whether a forgotten address is on the record."""
        return rid in self._by_record

    def keep(self, record: Record) -> Record:
        """What is stored of it."""
        forgotten = self._by_record.get(record.id)
        if not forgotten:
            return record
        return erasure.kept(record, forgotten, self._binding.representations, self._forgotten_since(record))

    def _forgotten_since(self, record: Record) -> datetime | None:
        """When the owner of the record was forgotten; None if that is somebody else."""
        forgotten = self._by_record.get(record.id, frozenset())
        owner = next((self._keys[a] for a in erasure.usable(record.addresses)[:1] if a in forgotten), None)
        return None if owner is None else self._unit.points.forgotten_since(owner)

    def returns(self, record: Record, said: Sequence[Said], tolerance: timedelta) -> list[Return]:
        """New opt-ins in a forgotten person's own record that would lift the erasure."""
        if not self.is_own(record):
            return []
        address = erasure.usable(record.addresses)[0]
        known = self._unit.ledger.about([self._keys[address]])[self._keys[address]]
        found = []
        for each in said:
            grant = each.statement
            is_strong = grant.kind is StatementKind.GRANT and grant.strength >= Strength.EVIDENCED
            if is_strong and _lifts(known, grant, tolerance):
                out = standing(known, grant.scope, tolerance=tolerance).decided_by
                found.append(
                    Return(
                        record=record.id,
                        address=address,
                        statement=grant,
                        since=out.at if out else grant.at,
                        is_certain=not each.needs_confirmation,
                    )
                )
        return found

    def is_back(self, found: Return, confirmed: Confirmed, tolerance: timedelta) -> bool:
        """Whether an opt-in lifts the erasure as of when the person gave it: any program may set a later stamp."""
        if found.is_certain:
            return True
        at, key = confirmed[found.statement.uid], self._keys[found.address]
        known = self._unit.ledger.about([key])[key]
        return at is not None and _lifts(known, as_of(found.statement, at), tolerance)

    def let_back(self, address: str) -> None:
        """The person is a contact point again, from this reading on."""
        remember(self._unit, address)
        self.is_anybody_back = True
        self._keys.pop(address)
        self._by_record = {rid: left for rid, held in self._by_record.items() if (left := held - {address})}


def _lifts(known: Sequence[Statement], grant: Statement, tolerance: timedelta) -> bool:
    return standing([*known, grant], grant.scope, tolerance=tolerance).wish is not Wish.OUT


def remember(unit: Unit, address: str) -> int:
    """A forgotten person gave a new consent: their address is known again, as a new point that inherits every
    restriction. Grants from before are not inherited, and every record is read anew."""
    old = unit.points.find([address])[address]
    key = unit.points.remember(address)
    said = unit.ledger.about([old])[old]
    unit.ledger.append([(key, one) for one in said if erasure.may_be_kept(one)], run=None)
    for source in {o.source_id for o in unit.records.load(unit.records.holding([old]))}:
        # What was kept of these records is too little to work with: only a reading of everything shows them.
        unit.sources.read_anew(source)
    return key


def pseudonym(unit: Unit, rid: str) -> str:
    """The id under which a record is stored whose own id would give a forgotten address away."""
    made = unit.pseudonyms.records(rid)
    if len(made) == 1:
        return made[0]
    known = unit.records.stored_ids(made)
    return next((one for one in made if one in known), made[0])


def quiet(
    unit: Unit, changes: Sequence[Change], outcomes: Mapping[str, Outcome]
) -> list[tuple[Change, Outcome | None]]:
    """The changes with their outcomes; those about people who were forgotten meanwhile without what tells of them."""
    forgotten = _forgotten(unit, {c.point_id for c in changes})
    pairs: list[tuple[Change, Outcome | None]] = []
    for change in changes:
        outcome = outcomes.get(str(change.id))
        if change.point_id in forgotten:
            change = _quiet_change(unit, change)  # noqa: PLW2901 - from here on there is no other
            outcome = None if outcome is None else _quiet_outcome(unit, outcome)
        pairs.append((change, outcome))
    return pairs


def _forgotten(unit: Unit, points: Collection[int]) -> frozenset[int]:
    return unit.points.forgotten(points) if unit.points.has_forgotten() else frozenset()


def _quiet_change(unit: Unit, change: Change) -> Change:
    is_wish = change.kind in {ChangeKind.OPT_OUT, ChangeKind.OPT_IN, ChangeKind.TOPIC}
    return replace(
        change,
        record=None if change.record is None else _unnamed(unit, change.record),
        before=change.before if is_wish else {},
        after=change.after if is_wish else {},
        write=without_values(change.kind, change.write),
        fingerprint=f"forgotten {change.id}",
    )


def _quiet_outcome(unit: Unit, outcome: Outcome) -> Outcome:
    shown = outcome.record
    rid = outcome.record_id or (shown.id if shown else None)
    if rid is None:
        return replace(outcome, message="")
    stored = _unnamed(unit, rid)
    plain = Record(id=stored)
    if shown is not None:
        plain = replace(plain, status=shown.status, origin=shown.origin, word=shown.word)
    return replace(outcome, record_id=stored, record=plain, message="")


def _unnamed(unit: Unit, rid: str) -> str:
    return pseudonym(unit, rid) if "@" in rid else rid
