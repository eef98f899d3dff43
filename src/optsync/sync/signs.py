"""Reading what became of the mails: temporary and final failures, signs of life, and who gives none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from optsync.connect.contract import CanReportActivity, can
from optsync.model.contact_point import InvalidAddress, normalise
from optsync.model.scope import EVERYTHING
from optsync.model.sign import Sign, SignKind, SignPage
from optsync.model.statement import Source, Statement, StatementKind, state
from optsync.reconcile.policy import Inactive
from optsync.state.codec import dumps, loads
from optsync.state.unit import Unit
from optsync.sync.binding import SourceBinding
from optsync.sync.clocks import settled_offset
from optsync.sync.engine import Engine
from optsync.sync.progress import Progress

FRESH = timedelta(days=7)
"""Older knowledge of who gives signs of life is none: the platform could not be asked since."""
_BOUNCES = {SignKind.SOFT_BOUNCE: StatementKind.SOFT_BOUNCE, SignKind.HARD_BOUNCE: StatementKind.HARD_BOUNCE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is remembered of reading a source's signs. ``reaches``: since when they are known; ``looked_at``: when a
    look last came to its end; ``is_open``: one is under way."""

    reaches: datetime
    cursor: str | None = None
    is_open: bool = False
    looked_at: datetime | None = None
    mailed_at: datetime | None = None


def _key(source_id: int) -> str:
    return f"signs:{source_id}"


def find_look(unit: Unit, source_id: int) -> Look | None:
    """What is remembered, None before the first look."""
    text = unit.meta.get(_key(source_id))
    if text is None:
        return None
    stored = loads(text)
    moments = {name: _moment(stored[name]) for name in ("looked_at", "mailed_at")}
    reaches = datetime.fromisoformat(stored["reaches"])
    return Look(reaches=reaches, cursor=stored["cursor"], is_open=stored["is_open"], **moments)


def _save(unit: Unit, source_id: int, look: Look) -> None:
    moments = {"reaches": look.reaches, "looked_at": look.looked_at, "mailed_at": look.mailed_at}
    told = {name: moment.isoformat() if moment else None for name, moment in moments.items()}
    unit.meta.put(_key(source_id), dumps({**told, "cursor": look.cursor, "is_open": look.is_open}))


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def last_mailed(unit: Unit, source_id: int, *, now: datetime, within: timedelta) -> datetime | None:
    """When the audience was last mailed; None while it is not known who gave signs of life ``within`` that time."""
    look = find_look(unit, source_id)
    if look is None or look.looked_at is None or now - look.looked_at > FRESH or look.reaches > now - within:
        return None
    return look.mailed_at


class SignReader:
    """Reads signs for one run. ``guarded`` is called inside every transaction: it proves the lease."""

    def __init__(self, engine: Engine, run: str, guarded: Callable[[Unit], None], progress: Progress) -> None:
        self._engine = engine
        self._run = run
        self._guarded = guarded
        self._progress = progress

    def read(self, binding: SourceBinding, source_id: int, *, is_due: bool) -> None:
        """Takes what happened since the last look, if one is due or was interrupted. What was taken before a failure
        is kept, and the next look goes on from there.

        Raises:
            SystemUnavailable, RateLimited, CredentialsRefused.
        """
        connector = self._engine.connectors[binding.system]
        if not can(connector, CanReportActivity):
            return
        with self._engine.store.reading() as unit:
            known = find_look(unit, source_id)
        if not is_due and not (known and known.is_open):
            return
        look, since = self._begin(binding, known)
        shown = 0
        for page in connector.activity(binding.collection, look.cursor, since):
            look = self._take(binding, source_id, look, page)
            shown += len(page.signs)
            self._progress.step(f"signs {binding.system}/{binding.collection}", shown, None)

    def _begin(self, binding: SourceBinding, known: Look | None) -> tuple[Look, datetime]:
        """The look to go on with, and since when signs matter at all. Where that is longer ago than what is known
        reaches, all of it is read anew."""
        policies = [self._engine.bound.policies[sync] for sync in binding.syncs]
        silence = (p.inactive_after for p in policies if p.inactive is not Inactive.KEEP)
        since = self._engine.clock.now() - max([self._engine.config.consent.soft_bounces.within, *silence])
        if known is None or known.reaches > since + timedelta(days=1):
            return Look(reaches=since), since
        return known, since

    def _take(self, binding: SourceBinding, source_id: int, look: Look, page: SignPage) -> Look:
        now = self._engine.clock.now()
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            measured = self._engine.connectors[binding.system].clock_offset
            settled, _ = settled_offset(unit, binding.system, measured, now=now)
            offset = settled or timedelta(0)
            self._hear(unit, binding, page.signs, offset, now)
            mailed_at = page.mailed_at - offset if page.mailed_at else None
            taken = replace(look, cursor=page.cursor, is_open=not page.is_last, mailed_at=mailed_at)
            if page.is_last:
                self._fall_due(unit, binding, source_id, look, now)
                taken = replace(taken, looked_at=now)
            _save(unit, source_id, taken)
        return taken

    # one page

    def _hear(
        self, unit: Unit, binding: SourceBinding, signs: Sequence[Sign], offset: timedelta, now: datetime
    ) -> None:
        by_point = _by_point(unit, signs)
        about = unit.ledger.about(by_point)
        active = unit.points.active(by_point)
        said: list[tuple[int, Statement]] = []
        alive: dict[int, datetime] = {}
        for key, own in by_point.items():
            opened = [s.at - offset for s in own if s.kind is SignKind.OPENED]
            newest = max([*opened, *([active[key]] if key in active else [])], default=None)
            if newest is not None and newest != active.get(key):
                alive[key] = min(newest, now)
            told = _tell(own, about[key], newest, binding.system, offset, now)
            said.extend((key, statement) for statement in told)
        unit.points.note_active(alive)
        if unit.ledger.append(said, run=self._run):
            unit.points.mark(binding.hearers(EVERYTHING), {key for key, _ in said})
        self._wake(unit, alive, active, now)

    def _wake(self, unit: Unit, alive: Mapping[int, datetime], before: Mapping[int, datetime], now: datetime) -> None:
        """Who was silent for too long and is heard of again may have to be given back what was taken."""
        for policy in self._engine.bound.policies.values():
            oldest = now - policy.inactive_after
            awake = {k for k, at in alive.items() if at >= oldest and not (k in before and before[k] >= oldest)}
            if policy.inactive is not Inactive.KEEP and awake:
                unit.points.mark([policy.name], awake)

    # what falls due by time alone

    def _fall_due(self, unit: Unit, binding: SourceBinding, source_id: int, look: Look, now: datetime) -> None:
        rules = self._engine.config.consent
        last = look.looked_at or now
        for sync in binding.hearers(EVERYTHING):
            within = rules.soft_bounces.within
            unit.points.mark_recovered(sync, after=last - within - timedelta(days=1), until=now - within)
        for sync in binding.syncs:
            policy = self._engine.bound.policies[sync]
            if policy.inactive is not Inactive.KEEP:
                unit.points.mark_idle(sync, source_id, policy.scope, before=now - policy.inactive_after)


def _by_point(unit: Unit, signs: Sequence[Sign]) -> dict[int, list[Sign]]:
    """By known contact point; of addresses nobody knows nothing is kept."""
    by_address: dict[str, list[Sign]] = {}
    for sign in signs:
        try:
            by_address.setdefault(normalise(sign.address), []).append(sign)
        except InvalidAddress:
            continue
    return {key: by_address[address] for address, key in unit.points.find(by_address).items()}


def _tell(
    signs: Sequence[Sign],
    known: Sequence[Statement],
    opened_at: datetime | None,
    system: str,
    offset: timedelta,
    now: datetime,
) -> list[Statement]:
    """The statements that change something: failures that no later sign of life has answered, each once, and the
    newest sign of life if it answers one. ``opened_at``: the newest opening, of this page or before."""
    delivered = [s.at - offset for s in signs if s.kind is SignKind.DELIVERED]
    alive = max([*delivered, *([opened_at] if opened_at else [])], default=None)
    answered = [s.at for s in known if s.kind is StatementKind.DELIVERED]
    newest = max([*answered, *([alive] if alive else [])], default=None)
    heard = {(s.kind, s.system, s.evidence.get("told_at")) for s in known}
    said = [
        bounce
        for sign in signs
        if sign.kind in _BOUNCES and (newest is None or sign.at - offset > newest)
        if (_BOUNCES[sign.kind], system, sign.at.isoformat()) not in heard
        if not _is_known_for_good(bounce := _bounce(sign, system, offset, now), known)
    ]
    failures = [s.at for s in known if s.kind in _BOUNCES.values()]
    last_answer = max(answered, default=None)
    if alive and any(at <= alive and (last_answer is None or at > last_answer) for at in failures):
        said.append(_statement(StatementKind.DELIVERED, alive, system, now))
    return said


def _bounce(sign: Sign, system: str, offset: timedelta, now: datetime) -> Statement:
    evidence = {"told_at": sign.at.isoformat(), **({"mailing": sign.mailing} if sign.mailing else {})}
    return replace(_statement(_BOUNCES[sign.kind], sign.at - offset, system, now), evidence=evidence)


def _is_known_for_good(bounce: Statement, known: Sequence[Statement]) -> bool:
    """A member shows its final failure as well; said once it is enough."""
    return bounce.kind is StatementKind.HARD_BOUNCE and any(
        s.kind is StatementKind.HARD_BOUNCE and s.at >= bounce.at for s in known
    )


def _statement(kind: StatementKind, at: datetime, system: str, now: datetime) -> Statement:
    return state(scope=EVERYTHING, kind=kind, at=at, clock=system, seen_at=now, source=_source(kind), system=system)


def _source(kind: StatementKind) -> Source:
    return Source.ESP if kind is StatementKind.DELIVERED else Source.BOUNCE
