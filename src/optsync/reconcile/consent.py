"""The algebra of consent: what a set of statements means for one scope.

Everything here is a function of the *set* of statements: order, repetition and delay cannot matter. Two laws
hold (and are tested as properties): adding an out never makes a standing more permissive, adding a grant never
makes one more restrictive.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from operator import attrgetter

from optsync.model import scope as scopes
from optsync.model.quick import quick_dataclass
from optsync.model.scope import Basis, Kind, Purpose
from optsync.model.statement import Statement, StatementKind, Strength

_OUTS = frozenset({StatementKind.OUT, StatementKind.COMPLAINT})
_BOUNCES = frozenset({StatementKind.HARD_BOUNCE, StatementKind.SOFT_BOUNCE})
_IN_ORDER = attrgetter("at", "uid")


class Wish(StrEnum):
    """The standing of a contact point for a scope."""

    IN = "in"
    OUT = "out"
    PENDING = "pending"
    UNKNOWN = "unknown"


@quick_dataclass(frozen=True, slots=True)
class Standing:
    """``decided_by`` is the newest unbeaten out, else the newest grant, else the open request. ``outs``: all unbeaten
    ones, the newest last."""

    wish: Wish
    decided_by: Statement | None = None
    outs: tuple[Statement, ...] = ()


_NOTHING_SAID = Standing(Wish.UNKNOWN)


def effective(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """Without retractions and what they void, without duplicates, in a canonical order.

    What the person said themself stays, whatever somebody tried to retract."""
    kept = _kept(statements)
    return tuple(kept) if len(kept) < 2 else tuple(sorted(kept, key=_IN_ORDER))


def _kept(statements: Iterable[Statement]) -> Collection[Statement]:
    unique = {s.uid: s for s in statements}
    retractions = [s for s in unique.values() if s.kind is StatementKind.RETRACT]
    if not retractions:
        return unique.values()
    voided = {s.target for s in retractions}
    kept = (s for s in unique.values() if s.kind is not StatementKind.RETRACT)
    return [s for s in kept if s.is_personal or s.uid not in voided]


def standing(
    statements: Iterable[Statement], scope: str, *, tolerance: timedelta, needs_own_grant: bool = False
) -> Standing:
    """What the statements mean for ``scope``.

    ``tolerance`` is how far apart times of different clocks must be to count as later. ``needs_own_grant``: the
    scope is a mapped topic under basis consent, which its purpose's grant does not cover.
    """
    return standing_of(effective(statements), scope, tolerance=tolerance, needs_own_grant=needs_own_grant)


def standing_of(
    said: Iterable[Statement], scope: str, *, tolerance: timedelta, needs_own_grant: bool = False
) -> Standing:
    """As :func:`standing`, of what :func:`effective` has made of the statements."""
    path = scopes.path(scope)
    said = [s for s in said if s.scope in path]
    if not said:
        return _NOTHING_SAID
    grants = [s for s in said if s.kind is StatementKind.GRANT]
    unbeaten = [o for o in said if o.kind in _OUTS and not any(beats(g, o, tolerance) for g in grants)]
    if unbeaten:
        return Standing(Wish.OUT, unbeaten[-1], tuple(unbeaten))
    counting = [g for g in grants if g.scope == scope] if needs_own_grant else grants
    if counting:
        return Standing(Wish.IN, counting[-1])
    request = _open_request(said)
    return Standing(Wish.PENDING, request) if request else _NOTHING_SAID


def without_wider_outs(said: Iterable[Statement], scope: str) -> tuple[Statement, ...]:
    """Without the outs and complaints about more than ``scope``, which is a transactional purpose."""
    return tuple(s for s in said if s.kind not in _OUTS or s.scope == scope)


def unbeaten(statements: Iterable[Statement], *, tolerance: timedelta) -> tuple[Statement, ...]:
    """The outs and complaints that no grant lifts at their own scope."""
    said = effective(statements)
    grants = [s for s in said if s.kind is StatementKind.GRANT]
    outs = (s for s in said if s.kind in _OUTS)
    return tuple(o for o in outs if not any(g.scope == o.scope and beats(g, o, tolerance) for g in grants))


def beats(grant: Statement, out: Statement, tolerance: timedelta) -> bool:
    """Whether the grant lifts the out for the grant's scope and those below: it names the out's scope or one within,
    is strong enough and is later. ``tolerance`` as for :func:`standing`."""
    return scopes.contains(out.scope, grant.scope) and _is_strong_enough(grant, out) and is_later(grant, out, tolerance)


def _is_strong_enough(grant: Statement, out: Statement) -> bool:
    if grant.strength is Strength.ADMINISTRATOR:
        return True
    if out.kind is StatementKind.COMPLAINT:
        return False
    if grant.strength is Strength.EVIDENCED:
        return True
    return grant.strength is Strength.TRUSTED and grant.scope == out.scope


def is_later(grant: Statement, out: Statement, tolerance: timedelta) -> bool:
    """Times of one clock compare exactly; others need the tolerance between them."""
    if grant.clock is not None and grant.clock == out.clock:
        return grant.at > out.at
    return grant.at >= out.at + tolerance


def _open_request(said: Iterable[Statement]) -> Statement | None:
    ended = {s.target for s in said if s.kind is StatementKind.REQUEST_EXPIRED}
    opened = [s for s in said if s.kind is StatementKind.REQUEST and s.uid not in ended]
    return opened[-1] if opened else None


class Deliverability(StrEnum):
    """Whether mail arrives; no wish."""

    OK = "ok"
    SOFT = "soft"
    HARD = "hard"


def deliverability(
    statements: Iterable[Statement], *, now: datetime, soft_limit: int, soft_within: timedelta
) -> Deliverability:
    """See :func:`deliverability_of`."""
    return deliverability_of(effective(statements), now=now, soft_limit=soft_limit, soft_within=soft_within)


def deliverability_of(
    said: Sequence[Statement], *, now: datetime, soft_limit: int, soft_within: timedelta
) -> Deliverability:
    """Of what :func:`effective` has made of the statements: hard after a hard bounce, or after ``soft_limit`` soft ones
    within ``soft_within``; a later sign of life (at the same time counts as later: it is the bounce that needs proof of
    being current) clears it."""
    if not any(s.kind in _BOUNCES for s in said):
        return Deliverability.OK
    alive = max((s.at for s in said if s.kind is StatementKind.DELIVERED), default=None)
    if any(s.kind is StatementKind.HARD_BOUNCE and (alive is None or s.at > alive) for s in said):
        return Deliverability.HARD
    soft = [
        s
        for s in said
        if s.kind is StatementKind.SOFT_BOUNCE and s.at > now - soft_within and (alive is None or s.at > alive)
    ]
    if len(soft) >= soft_limit:
        return Deliverability.HARD
    return Deliverability.SOFT if soft else Deliverability.OK


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether a mail may be sent, and the reason in a few words."""

    may_send: bool
    reason: str


def may_mail(wish: Wish, mailbox: Deliverability, purpose: Purpose) -> Permission:
    """The suppression check for a scope of ``purpose``."""
    if mailbox is Deliverability.HARD:
        return Permission(False, "undeliverable: the address bounced")
    if purpose.kind is Kind.TRANSACTIONAL:
        return Permission(True, "transactional")
    if wish is Wish.OUT:
        return Permission(False, "opted out")
    if purpose.basis is Basis.LEGITIMATE_INTEREST:
        return Permission(True, "legitimate interest and no objection")
    if wish is Wish.IN:
        return Permission(True, "opted in")
    return Permission(False, "asked, no answer yet" if wish is Wish.PENDING else "no consent known")
