"""Erasure: a person's clear text goes, a keyed hash with their outs stays, so that a re-import stays out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from optsync.connect.contract import CanForget
from optsync.errors import CommandRefused, OutcomeUnknown, SystemFailure
from optsync.model.change import Fact, Outcome, Result
from optsync.model.page import ReadSpec
from optsync.model.record import Record
from optsync.model.scope import EVERYTHING
from optsync.model.statement import OUR_CLOCK, Source, Statement, StatementKind, state
from optsync.reconcile import erasure
from optsync.reconcile.representation import Representation
from optsync.state.erasures import NAME
from optsync.state.pseudonyms import is_pseudonym
from optsync.state.records import Observed
from optsync.state.unit import Unit
from optsync.sync.engine import Engine
from optsync.sync.forgotten import pseudonym

_log = structlog.get_logger(__name__)

HELD, SENDING = "held", "sending"
"""What is noted about a system's record: it still holds the person; its deletion was asked for, without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A system's record that holds the person. ``is_shared``: it holds somebody else's address, too. ``outcome``:
    ``held`` until its deletion is asked for, then ``deleted``, ``gone``, or why it is still there."""

    system: str
    collection: str
    record: str
    key: int
    is_shared: bool
    outcome: str = HELD
    message: str = ""

    def noted(self, stored: str) -> dict[str, Any]:
        """Without a word of clear text."""
        return {"system": self.system, "collection": self.collection, "record": stored, "outcome": self.outcome}

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {"system": self.system, "collection": self.collection, "record": self.record}
        return {**value, "is_shared": self.is_shared, "outcome": self.outcome, "message": self.message}


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """``was_known``: whether anything was stored about the address. ``is_wiped``: whether what was stored is out of
    the database's files, too."""

    erasure: int
    at: datetime
    was_known: bool
    was_forgotten: bool
    holdings: tuple[Holding, ...]
    is_wiped: bool = True

    def to_json(self) -> dict[str, Any]:
        return {
            "email": NAME,
            "erasure": self.erasure,
            "forgotten_at": self.at.isoformat(),
            "was_known": self.was_known,
            "was_forgotten": self.was_forgotten,
            "wiped": self.is_wiped,
            "records": [h.to_json() for h in self.holdings],
        }


def forget(engine: Engine, address: str, *, actor: str) -> Forgotten:
    """Erases a person from the state: the normalised ``address``, and everything that tells of them. Their outs stay
    behind a keyed hash, and an out of everything is added, so that no list that is imported again mails them. Nobody
    is asked to delete anything yet; doing it twice is harmless.

    Raises:
        CommandRefused: nobody answers for it.
    """
    actor = actor.strip()
    if not actor:
        raise CommandRefused("somebody has to answer for it: name them with --actor")
    now = engine.clock.now()
    with engine.store.transaction() as unit:
        unit.erasures.stop_others()
        key = unit.points.find([address]).get(address)
        since = None if key is None else unit.points.forgotten_since(key)
        was_known = key is not None
        key = unit.points.require([address])[address]
        # A yes that lies ahead was noted before our clock was set back.
        grants = (s for s in unit.ledger.about([key])[key] if s.kind is StatementKind.GRANT)
        now = max([now, *(grant.seen_at for grant in grants)])
        if since is None:
            unit.ledger.forget(key, _out(now))
        else:
            # A consent that a record has come with since counts for nothing.
            unit.ledger.append([(key, _out(now))], run=None)
        unit.erasures.drop_standing(key)
        holdings = _erase(engine, unit, key, address)
        unit.points.forget(address, at=now)
        unit.points.mark(engine.bound.policies, {key})
        noted = [h.noted(_stored_id(unit, h, address)) for h in holdings]
        number = unit.erasures.note(key, actor=actor, systems=noted)
    wiped = engine.store.wipe()
    _log.info("person forgotten", erasure=number, records=len(holdings), wiped=wiped)
    return Forgotten(
        erasure=number,
        at=since or now,
        was_known=was_known,
        was_forgotten=since is not None,
        holdings=tuple(holdings),
        is_wiped=wiped,
    )


def _out(now: datetime) -> Statement:
    """Whoever wants to be forgotten wants no mail; no administrator takes that back without evidence."""
    return state(
        scope=EVERYTHING,
        kind=StatementKind.OUT,
        at=now,
        clock=OUR_CLOCK,
        seen_at=now,
        source=Source.ADMIN,
        is_personal=True,
        reason=erasure.FORGOTTEN,
    )


def _erase(engine: Engine, unit: Unit, key: int, address: str) -> list[Holding]:
    """Everything but the ledger and the point itself; returns the records that systems still hold."""
    observed = unit.records.load(unit.records.holding([key]))
    texts = erasure.spellings(address)
    own = {o.key for o in observed if o.points[0] == key}
    kept = {o.key: _kept(engine, unit, o, address, is_own=o.key in own) for o in observed}
    unit.erasures.drop_links(own)
    unit.erasures.blank_links({o.key for o in observed} - own, texts)
    unit.erasures.blank_changes(key, own, {o.key for o in observed} - own, texts)
    unit.erasures.blank_issues(key, {(o.system, o.record.id) for o in observed})
    unit.erasures.blank_texts(texts)
    unit.erasures.replace_records(kept)
    for source in {o.source_id for o in observed if kept[o.key].id != o.record.id}:
        # The id of such a record is known again when it is read.
        unit.sources.read_anew(source)
    return [
        Holding(
            system=o.system,
            collection=o.collection,
            record=_true_id(engine, unit, o.record.id, address),
            key=o.key,
            is_shared=len(o.points) > 1,
        )
        for o in observed
        if not o.is_gone and (o.system, o.collection) in engine.bound.sources
    ]


def _kept(engine: Engine, unit: Unit, observed: Observed, address: str, *, is_own: bool) -> Record:
    representations: tuple[Representation, ...] = ()
    if binding := engine.bound.sources.get((observed.system, observed.collection)):
        representations = binding.representations
    rid = observed.record.id
    if erasure.gives_away(rid, address):
        rid = pseudonym(unit, rid)
    record = replace(observed.record, id=rid)
    if is_own:
        return erasure.own_part(record, [address], representations)
    return erasure.others_part(record, [address])


def _true_id(engine: Engine, unit: Unit, rid: str, address: str) -> str:
    """The vendor's id of a record that is stored under a pseudonym: it is the address, or a digest of it."""
    if not is_pseudonym(rid):
        return rid
    if rid in engine.true_ids:
        return engine.true_ids[rid]
    guesses = (address, *sorted(erasure.spellings(address)))
    return next((guess for guess in guesses if rid in unit.pseudonyms.records(guess)), rid)


def _stored_id(unit: Unit, holding: Holding, address: str) -> str:
    return pseudonym(unit, holding.record) if erasure.gives_away(holding.record, address) else holding.record


# the vendors


def forget_at_vendors(engine: Engine, done: Forgotten, address: str) -> Forgotten:
    """Has the systems delete the person's records, too, where they can and where the record holds nobody else. What
    became of each is in the proof."""
    todo = [h for h in done.holdings if h.outcome == HELD]
    with engine.store.transaction() as unit:
        asked = [replace(h, outcome=SENDING) for h in todo]
        _note(unit, done, asked, address)
    settled: list[Holding] = []
    for holding in todo:
        settled.append(_delete(engine, holding, address))
        with engine.store.transaction() as unit:
            _note(unit, done, [*settled, *asked[len(settled) :]], address)
            if settled[-1].outcome in {"deleted", "gone"}:
                unit.records.set_missing([holding.key], since=engine.clock.now(), is_gone=True)
    _log.info("vendors asked to forget", erasure=done.erasure, records=len(settled))
    return replace(done, holdings=tuple(settled))


def _note(unit: Unit, done: Forgotten, holdings: Sequence[Holding], address: str) -> None:
    unit.erasures.set_systems(done.erasure, [h.noted(_stored_id(unit, h, address)) for h in holdings])


def _delete(engine: Engine, holding: Holding, address: str) -> Holding:
    connector = engine.connectors[holding.system]
    if not isinstance(connector, CanForget):
        return replace(holding, outcome="by_hand", message=f"{holding.system} cannot delete records: do it there")
    # Whose addresses it holds, and nothing else: a value that cannot be used must not make it seem to be gone.
    spec = ReadSpec(collection=holding.collection)
    try:
        shown = connector.read_ids(spec, [holding.record])
        if not shown:
            return replace(holding, outcome="gone", message="it is not there any more")
        addresses = erasure.usable(shown[0].addresses)
        if address not in addresses:
            return replace(holding, outcome="gone", message="it does not hold the address any more")
        if len(addresses) > 1:
            words = "it holds somebody else's address, too: take this one off by hand"
            return replace(holding, outcome="shared", is_shared=True, message=words)
        return _judged(holding, connector.forget(spec.collection, holding.record))
    except (SystemFailure, OutcomeUnknown) as failure:
        words = f"{type(failure).__name__}: it was not deleted; run optsync forget --vendors again"
        return replace(holding, outcome="failed", message=words)


def _judged(holding: Holding, outcome: Outcome) -> Holding:
    if outcome.result in {Result.APPLIED, Result.SAME}:
        return replace(holding, outcome="deleted", message="deleted")
    if outcome.fact in {Fact.GONE, Fact.FORGOTTEN}:
        return replace(holding, outcome="gone", message="it is not there any more")
    words = f"{outcome.message or 'no reason given'}; delete it there by hand, or run optsync forget --vendors again"
    return replace(holding, outcome=outcome.result.value, message=words)


def still_there(done: Forgotten) -> Iterator[Holding]:
    """Records in which a system still holds the person."""
    yield from (h for h in done.holdings if h.outcome not in {"deleted", "gone"})
