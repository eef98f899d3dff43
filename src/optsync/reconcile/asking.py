"""Asking for a confirmation: who is asked and when, never twice for the same reason, and what became of it.

There are two reasons to ask: somebody belongs to the list and no consent is known (``enter: request``, once per
address and scope, ever), and a grant that the e-mail platform takes only through its own confirmation, since the
person left there by themself or complained (once per grant). A request is a statement, committed before the call; it
stands for "asked" from then on, whatever becomes of the call.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from optsync.model import scope as scopes
from optsync.model.change import ChangeKind, WriteKind
from optsync.model.record import Origin, Record, Side, Status
from optsync.model.statement import OUR_CLOCK, Source, Statement, StatementKind, Strength, state
from optsync.reconcile.consent import Standing, Wish, beats, effective, is_later
from optsync.reconcile.policy import Enter, SyncPolicy
from optsync.reconcile.rules import Rule
from optsync.reconcile.view import Intent, Neighbourhood, Point, Question, Seen

ARRIVES_WITHIN = timedelta(minutes=10)
"""A request whose answer was lost may still be carried out this much later."""
_OUTS = frozenset({StatementKind.OUT, StatementKind.COMPLAINT})
_CAN_BE_ASKED = frozenset({Status.OUT, Status.UNKNOWN, Status.ABSENT})
_FACT, _NOT_SENT = "fact", "not_sent"


# what became of a request


class Answer(StrEnum):
    """What became of the newest request for a scope."""

    NEVER = "never"
    """Nobody was asked."""
    WAITING = "waiting"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    """The vendor refused to ask."""
    NO_ANSWER = "no_answer"
    """It ended without an answer. That is no opt-out."""
    OPTED_OUT = "opted_out"


@dataclass(frozen=True, slots=True)
class Request:
    """``asked`` is the request's statement, ``ended`` the one that ended it: the click, the opt-out, or that it
    ended without either."""

    answer: Answer
    asked: Statement | None = None
    ended: Statement | None = None

    @property
    def fact(self) -> str | None:
        """Why the vendor refused."""
        return self.ended.evidence.get(_FACT) if self.ended and self.answer is Answer.REFUSED else None


def request(statements: Iterable[Statement], scope: str) -> Request:
    """The newest request for exactly this scope, and what became of it."""
    return _request(effective(statements), scope)


def _request(said: Sequence[Statement], scope: str) -> Request:
    asked = _sent(said, scope)
    if not asked:
        return Request(Answer.NEVER)
    newest = asked[-1]
    later = [s for s in said if s.seen_at >= newest.at and scopes.contains(s.scope, scope)]
    clicks = [s for s in later if s.kind is StatementKind.GRANT and s.system == newest.system]
    ends = [s for s in said if s.kind is StatementKind.REQUEST_EXPIRED and s.target == newest.uid]
    outs = [s for s in later if s.kind in _OUTS]
    if clicks:
        return Request(Answer.CONFIRMED, newest, clicks[0])
    if ends:
        return Request(Answer.REFUSED if _FACT in ends[0].evidence else Answer.NO_ANSWER, newest, ends[0])
    return Request(Answer.OPTED_OUT, newest, outs[0]) if outs else Request(Answer.WAITING, newest)


def sent(statements: Iterable[Statement], scope: str) -> tuple[Statement, ...]:
    """The requests for exactly this scope, oldest first, without those that certainly never left: only these are
    sent another time. One whose answer was lost counts as sent."""
    return _sent(effective(statements), scope)


def _sent(said: Iterable[Statement], scope: str) -> tuple[Statement, ...]:
    requests = [s for s in said if s.kind is StatementKind.REQUEST and s.scope == scope]
    if not requests:
        return ()
    kept_back = {s.target for s in said if s.kind is StatementKind.REQUEST_EXPIRED and _NOT_SENT in s.evidence}
    return tuple(s for s in requests if s.uid not in kept_back)


def stated(scope: str, *, system: str, collection: str, change: int, grant: str | None, at: datetime) -> Statement:
    """The statement of a request, made right before the call. ``grant``: uid of the grant that is to be confirmed."""
    return state(
        scope=scope,
        kind=StatementKind.REQUEST,
        at=at,
        clock=OUR_CLOCK,
        seen_at=at,
        source=Source.API,
        system=system,
        target=grant,
        evidence={"collection": collection, "change": str(change)},
    )


def of_change(statements: Iterable[Statement], change: int) -> Statement | None:
    """The request that a journaled change stated."""
    of = (s for s in statements if s.kind is StatementKind.REQUEST and s.evidence.get("change") == str(change))
    return next(of, None)


def refused(asked: Statement, *, fact: str, at: datetime) -> Statement:
    """The vendor refused to ask: it is not asked again for the same reason, and it is nobody's answer."""
    return _ended(asked, at=at, reason=f"refused: {fact}", evidence={_FACT: fact})


def kept_back(asked: Statement, *, at: datetime, reason: str = "not sent") -> Statement:
    """The request certainly never left; it may be sent another time."""
    return _ended(asked, at=at, reason=reason, evidence={_NOT_SENT: "yes"})


def _ended(asked: Statement, *, at: datetime, reason: str, evidence: dict[str, str] | None = None) -> Statement:
    return state(
        scope=asked.scope,
        kind=StatementKind.REQUEST_EXPIRED,
        at=at,
        clock=OUR_CLOCK,
        seen_at=at,
        source=Source.API,
        system=asked.system,
        target=asked.uid,
        reason=reason,
        evidence=evidence,
    )


def expired(
    keys: Iterable[int], around: Neighbourhood, policy: SyncPolicy
) -> tuple[list[tuple[int, Statement]], frozenset[int]]:
    """The requests of this sync that ended without an answer: nobody shows them any more, and nobody said in or
    out. Also the points that must be looked at again, because a request may still arrive there."""
    found: list[tuple[int, Statement]] = []
    undecided = set()
    for key in keys:
        point = around.points[key]
        newest = _request(point.said, policy.scope)
        asked = newest.asked
        if newest.answer is not Answer.WAITING or asked is None or not _is_of(asked, policy):
            continue
        members = (s for s in around.by_primary.get(key, ()) if s.side is Side.ESP and not s.is_gone)
        if any(s.record.status in {Status.PENDING, Status.IN} for s in members):
            continue
        if around.now < asked.at + ARRIVES_WITHIN:
            undecided.add(key)
        else:
            found.append((key, _ended(asked, at=around.now, reason="no answer")))
    return found, frozenset(undecided)


def _is_of(asked: Statement, policy: SyncPolicy) -> bool:
    """Whether it was this sync's audience that asked: another one's members are not looked at here."""
    return asked.system == policy.esp_system and asked.evidence.get("collection") == policy.audience


# who comes back only by their own confirmation


def must_confirm(point: Point, shows: Record | None, told: datetime | None, policy: SyncPolicy) -> bool:
    """Whether the platform takes this person back only by a confirmation of their own: they left there by
    themself or complained, and did not come back there since. ``shows`` is their member, if there is one; ``told``:
    when the platform last refused an opt-in for that reason."""
    if shows is not None and shows.status is Status.OUT and _is_own(shows.origin, policy):
        return True
    returned = _returned(point, policy)
    if told is not None and not any(g.seen_at > told for g in returned):
        return True
    return any(not any(is_later(g, o, policy.clock_tolerance) for g in returned) for o in _leavings(point, policy))


def _is_own(origin: Origin, policy: SyncPolicy) -> bool:
    return origin is Origin.COMPLAINT or (origin is Origin.PERSON and not policy.takes_back)


def _leavings(point: Point, policy: SyncPolicy) -> list[Statement]:
    """What the platform remembers against an opt-in by somebody else, oldest first. A complaint counts wherever it
    was made."""
    path = scopes.path(policy.scope)
    return [
        s
        for s in point.said
        if (s.kind is StatementKind.COMPLAINT and s.scope in path)
        or (
            s.kind is StatementKind.OUT
            and s.is_personal
            and s.scope == policy.scope
            and s.system == policy.esp_system
            and not policy.takes_back
        )
    ]


def _returned(point: Point, policy: SyncPolicy) -> list[Statement]:
    """The person's own sign-ups there."""
    return [
        s
        for s in point.said
        if s.kind is StatementKind.GRANT
        and s.system == policy.esp_system
        and s.scope == policy.scope
        and s.strength >= Strength.EVIDENCED
    ]


def to_confirm(point: Point, policy: SyncPolicy) -> Statement | None:
    """The grant for which the person is to be asked now; None if they were asked for it, or since it was given."""
    grant = _lifting(point, policy)
    if grant is None:
        return None
    asked = [r for r in _sent(point.said, policy.scope) if r.system == policy.esp_system]
    return None if any(r.target == grant.uid or r.at >= grant.at for r in asked) else grant


def _lifting(point: Point, policy: SyncPolicy) -> Statement | None:
    """The newest grant that lifts what the person said there; a tick that lifts nothing is no reason to ask."""
    decided = point.standing(policy.scope, policy)
    if decided.wish is not Wish.IN:
        return None
    path = scopes.path(policy.scope)
    grants = [s for s in point.said if s.kind is StatementKind.GRANT and s.scope in path]
    leavings = _leavings(point, policy)
    lifting = [g for g in grants if not leavings or beats(g, leavings[-1], policy.clock_tolerance)]
    return lifting[-1] if lifting else decided.decided_by


def enters_asked(
    point: Point, decided: Standing, shows: Record | None, around: Neighbourhood, policy: SyncPolicy
) -> bool:
    """Whether somebody enters the list by a request: no consent is known, or the platform wants it from the person.
    ``shows`` is the member they were before."""
    if decided.wish is Wish.IN:
        return must_confirm(point, shows, around.left_by_self.get(point.key), policy)
    return policy.needs_grant or policy.enter is Enter.REQUEST


def why_not_ask(point: Point, decided: Standing, policy: SyncPolicy) -> str | None:
    """The reason to skip somebody who would enter by a request; None if they are to be asked now."""
    is_in = decided.wish is Wish.IN
    if not is_in and policy.enter is Enter.SUBSCRIBE:
        return "no_consent"
    if not policy.can_ask:
        return "cannot_ask"
    if is_in:
        return None if to_confirm(point, policy) else "asked"
    # Asked once per address and scope, ever: an ended request is not repeated either.
    return "asked" if _sent(point.said, policy.scope) else None


def ask(member: Seen, point: Point, around: Neighbourhood, policy: SyncPolicy) -> Iterator[Intent]:
    """The request to a member who must confirm: once per grant, never where one is open."""
    grant = to_confirm(point, policy)
    status = member.record.status or Status.UNKNOWN
    if grant is None or not policy.can_ask or status not in _CAN_BE_ASKED or not member.record.is_word_known:
        return
    if point.key in around.refused_for_good:
        return
    yield Intent(
        kind=ChangeKind.REQUEST,
        write=WriteKind.STATUS,
        system=member.system,
        collection=member.collection,
        record=member.key,
        point=point.key,
        rule=Rule.ASKED_FOR_GRANT,
        before={"status": status},
        after={"status": Status.PENDING},
        causes=(grant.uid,),
        status=Status.PENDING,
        address=member.record.addresses[0] if member.record.addresses else None,
    )


_HINDRANCES = {
    "archived": "the person unsubscribed there and was archived since: neither an opt-in nor a request is sent; only "
    "the person can come back, by signing up with a form of the platform",
    "no_answer": "the person unsubscribed there by themself, and what came of the request to confirm a later opt-in is "
    "not known: it is not repeated; they come back by signing up there, or are asked for a newer opt-in",
    "cannot_ask": "the person unsubscribed there by themself, and this platform cannot be told to ask them: they come "
    "back by signing up there themself; send them its sign-up form",
}


def hindrance(point: Point, member: Seen | None, around: Neighbourhood, policy: SyncPolicy) -> Question | None:
    """What keeps a valid opt-in from the platform, where neither we nor a request can do anything about it."""
    if member is None or point.standing(policy.scope, policy).wish is not Wish.IN:
        return None
    record = member.record
    if not must_confirm(point, record, around.left_by_self.get(point.key), policy):
        return None
    grant = _lifting(point, policy)
    why = _why_kept_out(point, record, around, policy)
    if why is None:
        return None
    return Question(
        kind="needs_confirmation",
        system=member.system,
        record=member.key,
        point=point.key,
        field=None,
        message=_HINDRANCES[why],
        values={},
        about=grant.uid if grant else None,
    )


def _why_kept_out(point: Point, record: Record, around: Neighbourhood, policy: SyncPolicy) -> str | None:
    if record.status is Status.ARCHIVED:
        return "archived"
    if record.status not in _CAN_BE_ASKED:
        return None
    if not policy.can_ask:
        return None if point.key in around.left_by_self else "cannot_ask"
    has_ended = _request(point.said, policy.scope).answer is Answer.NO_ANSWER
    return "no_answer" if has_ended and to_confirm(point, policy) is None else None


def has_open(statements: Sequence[Statement], scope: str) -> Statement | None:
    """The open request for the scope, if there is one."""
    newest = request(statements, scope)
    return newest.asked if newest.answer is Answer.WAITING else None
