"""One page of readings into the state: statements, observations, backlog — all in one transaction."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from optsync.connect.contract import Absence
from optsync.model.page import Page, RowFault
from optsync.model.quick import quick_dataclass
from optsync.model.record import Record, Side, Status
from optsync.model.statement import Statement
from optsync.reconcile.complaint import with_known
from optsync.reconcile.departure import hidden_since, may_hide
from optsync.reconcile.detect import Claim, Detected, detect, with_restrictions
from optsync.reconcile.doubt import doubts
from optsync.reconcile.erasure import usable
from optsync.reconcile.reading import Reading
from optsync.reconcile.representation import Representation, overlay, with_address, with_untold
from optsync.state.codec import fingerprint_of
from optsync.state.records import Observed
from optsync.state.sources import Source
from optsync.state.unit import Unit
from optsync.sync.arrived import agree_on_arrived, agree_on_made, note_archived
from optsync.sync.binding import SourceBinding
from optsync.sync.carrying import Carrier, Terms
from optsync.sync.clocks import Settled
from optsync.sync.echoes import Echoes
from optsync.sync.forgotten import Screen
from optsync.sync.joined_topics import note_late
from optsync.sync.nominations import Confirmed, NeedsConfirmation, Nominated, Nomination, judge_nominations
from optsync.sync.own_flags import OwnFlags, own_flags, without_flag
from optsync.sync.quarantine import hearing
from optsync.sync.rejoining import asking, left_between
from optsync.sync.sifting import sift, without
from optsync.sync.troubles import Troubles

LATE = timedelta(minutes=10)
"""A request whose answer was lost may still be carried out this much later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """Of a reading. ``keeps_lists``: the reading does not say which list scopes the records belong to. ``is_answer``:
    to writes of ours. ``there`` and ``no_grants``: see :class:`optsync.sync.carrying.Terms`; ``aside``: records whose
    readings are left for another time."""

    run: str
    seen_at: datetime
    tolerance: timedelta
    confirmed: Confirmed
    keeps_lists: bool = False
    is_answer: bool = False
    there: Mapping[str, bool] = field(default_factory=dict)
    no_grants: frozenset[str] = frozenset()
    aside: frozenset[str] = frozenset()


@quick_dataclass(frozen=True, slots=True, kw_only=True)
class _News:
    """A record whose reading differs from what was stored, with what follows from it."""

    record: Record
    old: Observed | None
    points: tuple[str, ...]
    detected: Detected
    has_more: bool


@quick_dataclass(frozen=True, slots=True, kw_only=True)
class PendingClaim:
    """A record came to show "in"; whether that is refused is judged when every side was read."""

    binding: SourceBinding
    record: Record
    point: int
    claim: Claim


class Ingest:
    """Takes a page of one source inside one transaction. ``clock``: :func:`optsync.sync.clocks.settled_offset`;
    ``claims``: what came to show "in" in the page; ``faults``: its rows that cannot be used; ``unheard_of``: those
    records of them for which no issue stood; ``unsettled``: records whose readings are not taken before somebody has
    looked them up."""

    def __init__(self, unit: Unit, binding: SourceBinding, source: Source, now: Circumstances, clock: Settled) -> None:
        self._unit = unit
        self._binding = binding
        self._source = source
        self._now = now
        self.claims: list[PendingClaim] = []
        self._points: Mapping[str, int] = {}
        """The usable addresses on the page, with their keys."""
        self._stamped: list[tuple[int, Record]] = []
        self._digests: Mapping[str, bytes] = {}
        self._compared: Collection[int] = ()
        self._renewed: dict[int, bytes] = {}
        self._own_flags: OwnFlags = ()
        self._hidden: dict[str, datetime | None] = {}
        """Records that may hide an opt-out, and since when."""
        self.faults: Sequence[RowFault] = ()
        self.unheard_of: Collection[str] = ()
        self.unsettled: Collection[str] = ()
        self.screen = Screen(unit, binding)
        self._troubles = Troubles(unit, binding, now.run)
        self._reading = Reading(
            system=binding.system,
            collection=binding.collection,
            seen_at=now.seen_at,
            offset=clock[0],
            jump=clock[1],
            is_first_run=not source.is_known,
            was_read_before=source.full_at is not None,
            written_since=source.read_at if now.is_answer else None,
        )
        terms = Terms(
            reading=self._reading,
            tolerance=now.tolerance,
            there=now.there,
            no_grants=now.no_grants,
            read_at=source.read_at,
        )
        self._carrier = Carrier(unit, binding, source.id, terms)

    def take(self, page: Page) -> int:
        """Stores the readings; returns how many were news.

        Raises:
            NeedsConfirmation, NeedsLookUp: see there.
        """
        # Without its list scopes a reading cannot be compared before those that are known are put into it.
        sifted = sift(self._unit, self._source, page, compares=self._source.is_known and not self._now.keeps_lists)
        self.unsettled = () if self._now.keeps_lists else asking(self._unit, self._binding, sifted)
        sifted = hearing(self._unit, self._binding, self._source, without(sifted, self._now.aside, self.unsettled))
        self.faults, self._renewed = sifted.faults, dict(sifted.renewed)
        self._digests, self._compared = page.unmade.digests if page.unmade else {}, sifted.compared
        shown, known = sifted.shown, dict(sifted.known)
        self.screen = Screen(self._unit, self._binding, sifted.records.values())
        fresh = self.screen.rename(sifted.records)
        if self.screen.true_ids:
            hidden = {*self.screen.true_ids.values()}
            shown = dict.fromkeys((*(rid for rid in shown if rid not in hidden), *self.screen.true_ids))
            known |= self._unit.records.known(self._source.id, list(self.screen.true_ids))
        olds = {o.record.id: o for o in self._unit.records.load(known[r].key for r in fresh if r in known)}
        anew = (old for old in olds.values() if not self._source.is_known or self._is_back(old))
        self._own_flags = own_flags(self._unit, self._binding, anew)
        news = [n for rid, record in fresh.items() if (n := self._examine(record, olds.get(rid))) is not None]
        self._let_back(news)
        news = self._without_former_selves([self._kept(n) for n in news])
        if news and (self._source.is_known or self._source.full_at is not None):
            self._carrier.find_merged(news, {*shown, *(fault.record for fault in sifted.faults)})
        self._unit.records.replace(self._stamped, at=self._now.seen_at)
        self._unit.records.note_digests(self._renewed)
        keys = {rid: k.key for rid, k in known.items()}
        if news:
            agree_on_arrived(self._unit, self._binding, news)
            note_archived(self._unit, news)
            keys |= self._store(news)
            if self._source.is_known:
                agree_on_made(self._unit, self._binding, news, keys, self._points, self._reading)
                note_late(self._unit, self._binding, news, self._points)
            self._speak(news)
        self._note_hidden(keys)
        self.unheard_of = self._troubles.open_faults(sifted.faults)
        self._note_shown(shown, keys, news)
        self._note_ticked(news)
        self._troubles.close(shown, {f.record for f in sifted.faults})
        return len(news)

    def _note_shown(self, shown: Collection[str], keys: Mapping[str, int], news: Sequence[_News]) -> None:
        fresh = {n.record.id for n in news}
        for is_news in (True, False):
            noted = [keys[rid] for rid in shown if (rid in fresh) is is_news]
            self._unit.sources.note_shown(noted, is_news=is_news)

    # one record

    def _examine(self, record: Record, old: Observed | None) -> _News | None:
        if old is not None and self._now.keeps_lists and not record.lists and old.record.lists:
            record = replace(record, lists=old.record.lists)
        if old is not None and self._binding.side is Side.ESP:
            told = with_untold(record, old.record, asked=self._binding.spec.fields)
            record = with_known(told, old.record)
        self._look_for_hidden(record, old)
        if old is not None and self._is_as_it_was(record, old):
            return None
        before = self._before(old, record)
        if self._source.is_known:
            before = self.screen.before(record, before, () if old is None else old.points)
        found = [self._found(before, record, old, representation) for representation in self._binding.representations]
        points = usable(record.addresses)
        merged = Detected(
            said=tuple(s for d in found for s in d.said),
            claims=tuple(c for d in found for c in d.claims),
            doubts=(*doubts(record, points), *(x for d in found for x in d.doubts)),
        )
        has_more = old is not None and len(points) > len(old.points)
        return _News(record=record, old=old, points=points, detected=merged, has_more=has_more)

    def _is_as_it_was(self, record: Record, old: Observed) -> bool:
        """What differs in a row that was compared by its digest may be nothing that a record shows."""
        digest = self._digests.get(record.id) if old.key in self._compared else None
        is_comparable = self._now.keeps_lists or digest is not None
        if not is_comparable or not old.is_plain or fingerprint_of(record) != fingerprint_of(old.record):
            return False
        if digest is not None:
            self._renewed[old.key] = digest
        # Our own write may have moved the stamp; one that moves on from there tells of somebody else.
        elif record.modified_at != old.record.modified_at:
            self._stamped.append((old.key, replace(old.record, modified_at=record.modified_at)))
        return True

    def _look_for_hidden(self, record: Record, old: Observed | None) -> None:
        """At the first reading of a collection nobody is asked about: it takes things as they are."""
        before = None if old is None else old.record
        is_first = old is None and not self._source.is_known and self._source.full_at is None
        if self._binding.tells_departures and not is_first and may_hide(before, record):
            self._hidden[record.id] = hidden_since(before)

    def _note_hidden(self, keys: Mapping[str, int]) -> None:
        """Who was forgotten is out already."""
        hidden = {keys[rid]: since for rid, since in self._hidden.items() if not self.screen.holds(rid)}
        self._unit.unasked.note(self._source.id, hidden, at=self._now.seen_at)

    def _found(
        self, before: Record | None, record: Record, old: Observed | None, representation: Representation
    ) -> Detected:
        unsure, reading = self._unsure(old), self._reading
        if unsure is not None:
            reading = replace(reading, written_since=self._source.read_at)
        found = detect(before, record, representation, reading, unsure=unsure)
        if old is not None and self._is_seen_anew(old, record):
            if (old.key, representation.opt_out) in self._own_flags:
                found = without_flag(found, representation.scope)
            found = with_restrictions(found, detect(old.record, record, representation, self._reading, unsure=unsure))
        said = left_between(old, record, self._binding, representation, self._reading)
        return replace(found, said=(*found.said, *said)) if said else found

    def _is_seen_anew(self, old: Observed, record: Record) -> bool:
        """Under its new meaning all is a first sight, as is who was believed deleted or had no address; what somebody
        took back since the last reading is no less said. The same id may be another person's in another account."""
        had, has = usable(old.record.addresses), usable(record.addresses)
        if self._source.is_known and not self._is_back(old):
            return not old.points and bool(has)
        return bool(old.points) and not {*had}.isdisjoint(has)

    def _let_back(self, news: Sequence[_News]) -> None:
        """Forgotten people who signed up again, and whose platform vouches for it, are let back in."""
        found = [r for n in news for r in self.screen.returns(n.record, self._carrier.said(n), self._now.tolerance)]
        asked = [r for r in found if not r.is_certain and r.statement.uid not in self._now.confirmed]
        if asked:
            raise NeedsConfirmation(
                [Nomination(record=self._true_id(r.record), uid=r.statement.uid, since=r.since) for r in asked]
            )
        for address in {r.address for r in found if self.screen.is_back(r, self._now.confirmed, self._now.tolerance)}:
            self.screen.let_back(address)

    def _without_former_selves(self, news: list[_News]) -> list[_News]:
        """Who came back after an erasure is another point now, and has inherited already: that is no other address."""
        former = self._unit.points.nameless({p for n in news if n.old for p in n.old.points})
        if not former:
            return news
        return [
            n
            if n.old is None
            else replace(n, old=replace(n.old, points=tuple(p for p in n.old.points if p not in former)))
            for n in news
        ]

    def _kept(self, item: _News) -> _News:
        """With what may be stored of the record."""
        kept = self.screen.keep(item.record)
        return item if kept is item.record else replace(item, record=kept)

    def _true_id(self, rid: str) -> str:
        return self.screen.true_ids.get(rid, rid)

    def _before(self, old: Observed | None, record: Record) -> Record | None:
        if old is None or not self._source.is_known:
            return None
        if self._is_back(old):
            return None
        # What a record without a usable address said was said of nobody, unless it is still joined with a member.
        return old.record if old.points or not usable(record.addresses) else None

    def _is_back(self, old: Observed | None) -> bool:
        """Restored, shown again or made anew under its old id: a first sight, which lifts nothing."""
        return old is not None and old.is_gone and self._binding.absence is Absence.DELETED

    def _unsure(self, old: Observed | None) -> Record | None:
        if old is None or old.unsure is None:
            return None
        status = None if old.unsure.status is None else Status(old.unsure.status)
        shown = overlay(old.record, status=status, topics=old.unsure.topics, fields=old.unsure.fields)
        return shown if old.unsure.address is None else with_address(shown, old.unsure.address)

    # storing

    def _store(self, news: Sequence[_News]) -> dict[str, int]:
        at = self._now.seen_at
        # What is kept of a forgotten person's record is less than the row, and is compared as what it is.
        stored = {n.record.id for n in news if not self.screen.holds(n.record.id)}
        digests = {rid: digest for rid, digest in self._digests.items() if rid in stored}
        fresh = [n.record for n in news if n.old is None]
        keys = self._unit.records.insert(self._source.id, fresh, at=at, digests=digests)
        renewed = [(n.old.key, n.record) for n in news if n.old is not None]
        self._unit.records.replace(renewed, at=at, digests=digests)
        late = {n.old.key: n.old.unsure for n in news if n.old and n.old.unsure and self._may_be_late(n)}
        self._unit.records.set_unsure({key: unsure for key, unsure in late.items() if unsure})
        self._points = self._unit.points.require({a for n in news for a in n.points})
        moved, unread = {}, {fault.record for fault in self.faults}
        for item in news:
            listed = tuple(self._points[a] for a in item.points)
            # What is heard of a row that cannot be used tells of no address.
            if item.old is None or (item.old.points != listed and item.record.id not in unread):
                moved[keys[item.record.id] if item.old is None else item.old.key] = listed
        self._unit.records.set_points(moved)
        return keys

    def _may_be_late(self, item: _News) -> bool:
        """The write is not visible yet and young enough to be carried out still."""
        if item.old is None or item.old.unsure is None:
            return False
        is_young = self._now.seen_at - item.old.unsure.sent_at < LATE
        expected = self._unsure(item.old)
        shows_it = expected is not None and (expected.status, expected.topics, expected.fields) == (
            item.record.status,
            dict(item.record.topics),
            dict(item.record.fields),
        )
        is_renamed = item.old.unsure.address is None or self._carrier.is_ours(item)
        return is_young and not (shows_it and is_renamed)

    # statements

    def _speak(self, news: Sequence[_News]) -> None:
        points = self._points
        told: list[tuple[int, Statement]] = []
        touched: set[int] = set()
        nominated: list[Nominated] = []
        echoes = Echoes(self._unit, self._binding, self._reading, {n.record.id: n.old for n in news if n.old})
        for item in news:
            listed = [points[a] for a in item.points]
            touched.update(listed, item.old.points if item.old else ())
            for each in self._carrier.said(item):
                if each.needs_confirmation and listed:
                    left = self._carrier.vanished(item, listed)
                    nominated.append((self._true_id(item.record.id), listed[0], each.statement, left))
                else:
                    told.extend((p, each.statement) for p in self._carrier.spoken_for(item, each, listed))
        said = echoes.without(told)
        own: defaultdict[str | None, list[tuple[int, Statement]]] = defaultdict(list)
        for pair in said:
            own[pair[1].record].append(pair)
        judge = partial(judge_nominations, self._unit, confirmed=self._now.confirmed, tolerance=self._now.tolerance)
        # What comes with another address is judged before anything follows there, which it may lift.
        moved = echoes.without(judge([n for n in nominated if n[3]], said))
        for item in news:
            besides = [*own[item.record.id], *moved]
            said.extend(self._carrier.carried(item, [points[a] for a in item.points], besides, said))
        said.extend(moved)
        said.extend(echoes.without(judge([n for n in nominated if not n[3]], said)))
        self._unit.ledger.append(said, run=self._now.run)
        self._unit.points.mark(self._binding.concerned, touched)
        self._tell(said, touched)
        self.claims = [
            PendingClaim(binding=self._binding, record=n.record, point=points[n.points[0]], claim=c)
            for n in news
            if n.points
            for c in n.detected.claims
        ]
        self._troubles.open_doubts(news, points)

    def _tell(self, said: Sequence[tuple[int, Statement]], touched: Collection[int]) -> None:
        """What was said here counts in every sync of its scope, whatever systems that one connects."""
        heard: dict[str, set[int]] = {}
        for key, statement in said:
            for sync in self._binding.hearers(statement.scope):
                if key not in touched or sync not in self._binding.syncs:
                    heard.setdefault(sync, set()).add(key)
        for sync, keys in heard.items():
            self._unit.points.mark([sync], keys)

    def _note_ticked(self, news: Sequence[_News]) -> None:
        topics = {name for n in news for name, wanted in n.record.topics.items() if wanted}
        self._unit.sources.note_ticked(self._source.id, topics)
