"""What an administrator says in a person's place: an out, a grant with evidence, or that a mailbox works again."""

from dataclasses import dataclass
from datetime import datetime

from optsync.errors import CommandRefused, ConfigError
from optsync.model import scope as scopes
from optsync.model.record import Status
from optsync.model.statement import OUR_CLOCK, Source, Statement, StatementKind, Strength, state
from optsync.reconcile.consent import Deliverability, Standing, Wish
from optsync.state.unit import Unit
from optsync.sync.engine import Engine
from optsync.sync.forgotten import remember
from optsync.sync.permission import Permissions, permissions


@dataclass(frozen=True, slots=True, kw_only=True)
class Administered:
    """``standing``: of the statement's scope, with it. ``still_out``: scopes within it that stay out, and by what."""

    statement: Statement
    standing: Standing
    still_out: tuple[tuple[str, Statement], ...] = ()


def opt_out(engine: Engine, address: str, *, scope: str, actor: str, reason: str | None = None) -> Administered:
    """An administrator's out, now. ``address`` is normalised. The next cycle of every sync carries it.

    Raises:
        ConfigError: the scope is unknown or transactional. CommandRefused: nobody answers for it.
    """
    asked = permissions(engine)
    asked.require_wish_scope(scope)
    now = engine.clock.now()
    said = state(
        scope=scope,
        kind=StatementKind.OUT,
        at=now,
        clock=OUR_CLOCK,
        seen_at=now,
        source=Source.ADMIN,
        reason=reason,
        evidence={"actor": _actor(actor)},
    )
    return _say(engine, asked, address, said)


def opt_in(
    engine: Engine, address: str, *, scope: str, actor: str, evidence: str, at: datetime | None = None
) -> Administered:
    """An administrator's grant, which lifts every earlier out of that scope. ``at`` (aware): when the person gave
    it, if not just now; a typed time belongs to no clock.

    Raises:
        ConfigError: the scope is unknown or transactional, or the time lies ahead.
        CommandRefused: there is no evidence, or nobody answers for it, or the person was forgotten since.
    """
    asked = permissions(engine)
    asked.require_wish_scope(scope)
    now = engine.clock.now()
    if at is not None and at > now:
        raise ConfigError(f"--at: {at:%Y-%m-%d %H:%M:%S} UTC lies in the future; a consent has been given already")
    if not evidence.strip():
        raise CommandRefused("an opt-in without evidence is refused: say how and where the person gave it")
    said = state(
        scope=scope,
        kind=StatementKind.GRANT,
        at=at or now,
        clock=None if at else OUR_CLOCK,
        seen_at=now,
        source=Source.ADMIN,
        strength=Strength.ADMINISTRATOR,
        evidence={"actor": _actor(actor), "evidence": evidence.strip()},
    )
    return _say(engine, asked, address, said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """``was`` and ``now``: deliverability before and with the statement. ``still_bounced_at``: systems whose records
    show the address as undeliverable, and which will not mail it by themselves."""

    statement: Statement
    was: Deliverability
    now: Deliverability
    still_bounced_at: tuple[str, ...]


def deliverable(engine: Engine, address: str, *, actor: str, evidence: str) -> Repaired:
    """An administrator's word that mail reaches the address again. The next cycle takes the markers away. It is no
    wish: whoever is out stays out.

    Raises:
        CommandRefused: there is no evidence, or nobody answers for it.
    """
    if not evidence.strip():
        raise CommandRefused("without evidence nothing is noted: say how it is known that mail arrives again")
    now = engine.clock.now()
    said = state(
        scope=scopes.EVERYTHING,
        kind=StatementKind.DELIVERED,
        at=now,
        clock=OUR_CLOCK,
        seen_at=now,
        source=Source.ADMIN,
        evidence={"actor": _actor(actor), "evidence": evidence.strip()},
    )
    asked = permissions(engine)
    with engine.store.transaction() as unit:
        key = unit.points.require([address])[address]
        was = asked.mailbox(unit.ledger.about([key])[key], now=now)
        unit.ledger.append([(key, said)], run=None)
        unit.points.mark(engine.bound.policies, {key})
        is_now = asked.mailbox(unit.ledger.about([key])[key], now=now)
        held = unit.records.load(unit.records.holding([key]))
    bounced = {o.system for o in held if o.record.status is Status.BOUNCED and not o.is_gone and o.points[0] == key}
    return Repaired(statement=said, was=was, now=is_now, still_bounced_at=tuple(sorted(bounced)))


def _actor(actor: str) -> str:
    if not actor.strip():
        raise CommandRefused("somebody has to answer for it: name them with --actor")
    return actor.strip()


def _say(engine: Engine, asked: Permissions, address: str, said: Statement) -> Administered:
    with engine.store.transaction() as unit:
        key = unit.points.require([address])[address]
        if said.kind is StatementKind.GRANT and unit.points.forgotten([key]):
            # A new consent with evidence lets a forgotten person back in.
            known = unit.ledger.about([key])[key]
            if asked.standing([*known, said], said.scope).wish is Wish.OUT:
                raise CommandRefused("the person was forgotten since: only a consent that they gave later counts")
            key = remember(unit, address)
        unit.ledger.append([(key, said)], run=None)
        unit.points.mark(engine.bound.policies, {key})
        return _outcome(unit, asked, key, said)


def _outcome(unit: Unit, asked: Permissions, key: int, said: Statement) -> Administered:
    about = unit.ledger.about([key])[key]
    still_out = []
    for scope in asked.wish_scopes:
        if scope != said.scope and scopes.contains(said.scope, scope) and said.kind is StatementKind.GRANT:
            found = asked.standing(about, scope)
            if found.wish is Wish.OUT and found.decided_by:
                still_out.append((scope, found.decided_by))
    return Administered(statement=said, standing=asked.standing(about, said.scope), still_out=tuple(still_out))
