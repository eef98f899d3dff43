"""What an organisation adds to an opt-out or opt-in: fields of its own, set once when a standing turns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from string import Formatter

from optsync.model.change import ChangeKind, WriteKind
from optsync.model.record import Value
from optsync.model.statement import Statement, StatementKind
from optsync.reconcile.consent import Standing, Wish, standing, without_wider_outs
from optsync.reconcile.policy import SyncPolicy
from optsync.reconcile.project import format_moment
from optsync.reconcile.rules import Rule
from optsync.reconcile.transforms import same
from optsync.reconcile.view import Intent, Neighbourhood, Point, Seen

_OUTS = frozenset({StatementKind.OUT, StatementKind.COMPLAINT})
_FILLS: Mapping[str, Callable[[str, Statement], str]] = {
    "at": lambda _, said: format_moment(said.at),
    "date": lambda _, said: said.at.date().isoformat(),
    "reason": lambda _, said: said.reason or "",
    "source": lambda _, said: said.source.value,
    "scope": lambda scope, _: scope,
}
PLACEHOLDERS = tuple(_FILLS)
"""What a text may hold in braces: the decision's time, day, reason, source and scope."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What was last handled at a record for a scope: the standing, and the statement that decided it."""

    wish: Wish
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A standing that became out or in and was not handled at this record yet."""

    record: int
    point: int
    scope: str
    wish: Wish
    said: Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What is known of earlier handling. ``since``: by scope, when its handling began to count; ``first_seen``: by
    record. What was said until then is nobody's turn: the record is left as people have made it. ``begun``: turns whose
    handling is under way."""

    since: Mapping[str, datetime]
    first_seen: Mapping[int, datetime]
    handled: Mapping[tuple[int, str], Handled] = field(default_factory=dict)
    begun: Mapping[tuple[int, str], Handled] = field(default_factory=dict)


def unknown_placeholders(template: str) -> tuple[str, ...]:
    """The names in braces that nothing is known for.

    Raises:
        ValueError: the braces do not fit each other.
    """
    parts = list(Formatter().parse(template))
    return tuple(n for _, n, spec, how in parts if n is not None and (n not in _FILLS or spec or how))


def filled(fields: Mapping[str, Value], scope: str, said: Statement) -> dict[str, Value]:
    """The values to set; texts with what they name in braces."""
    fills = {name: fill(scope, said) for name, fill in _FILLS.items()}
    return {n: v.format_map(fills) if isinstance(v, str) else v for n, v in fields.items()}


def turns(seen: Seen, around: Neighbourhood, policy: SyncPolicy, past: Past) -> Iterator[Turn]:
    """What turned at a CRM record, in the order of the scopes."""
    if seen.is_gone or seen.primary is None:
        return
    points = [around.points[key] for key in seen.points]
    for scope in past.since:
        point, decided = _deciding(points, scope, policy)
        if decided.wish not in {Wish.OUT, Wish.IN} or decided.decided_by is None:
            continue
        if at := _goes_on(points, scope, policy, past.begun.get((seen.key, scope)), decided.wish):
            yield Turn(record=seen.key, point=at[0].key, scope=scope, wish=decided.wish, said=at[1])
            continue
        known = past.handled.get((seen.key, scope)) or _before(points, seen, scope, policy, past)
        if known is None or known.wish is not decided.wish or _is_over(points, scope, policy, known):
            yield Turn(record=seen.key, point=point.key, scope=scope, wish=decided.wish, said=decided.decided_by)


def intent(
    seen: Seen, turn: Turn, wanted: Mapping[str, Value], untouched: Mapping[str, Value] | None = None
) -> Intent | None:
    """The change that sets ``wanted``; None if the record shows it. ``untouched``: where it is tried again, what the
    fields showed the first time; what differs from that is somebody's edit, or ours, and stays."""
    now = seen.record.fields
    after = {n: v for n, v in wanted.items() if not same(now.get(n), v)}
    if untouched is not None:
        after = {n: v for n, v in after.items() if n not in untouched or same(now.get(n), untouched[n])}
    if not after:
        return None
    return Intent(
        kind=ChangeKind.FIELD,
        write=WriteKind.FIELDS,
        system=seen.system,
        collection=seen.collection,
        record=seen.key,
        point=turn.point,
        rule=Rule.HANDLED_OPT_OUT if turn.wish is Wish.OUT else Rule.HANDLED_OPT_IN,
        before={name: now.get(name) for name in after},
        after=after,
        causes=(turn.said.uid,),
        fields=after,
        address=seen.record.addresses[0] if seen.record.addresses else None,
    )


def _deciding(points: Sequence[Point], scope: str, policy: SyncPolicy) -> tuple[Point, Standing]:
    """A record is out if one of its addresses is, and in if its primary is."""
    found = [(point, _standing(point.statements, scope, policy)) for point in points]
    return next(((p, s) for p, s in found if s.wish is Wish.OUT), found[0])


def _standing(said: Sequence[Statement], scope: str, policy: SyncPolicy) -> Standing:
    """A no to more than a list of transactional mail is no turn there."""
    is_own, is_owed = policy.needs_own_grant(scope), policy.is_transactional and scope == policy.scope
    said = without_wider_outs(said, scope) if is_owed else said
    return standing(said, scope, tolerance=policy.clock_tolerance, needs_own_grant=is_own)


def _before(points: Sequence[Point], seen: Seen, scope: str, policy: SyncPolicy, past: Past) -> Handled | None:
    """The standing when handling began to count for this record."""
    until = max(past.since[scope], past.first_seen[seen.key])
    earlier = [replace(p, statements=tuple(s for s in p.statements if s.seen_at <= until)) for p in points]
    _, decided = _deciding(earlier, scope, policy)
    return Handled(decided.wish, decided.decided_by.uid) if decided.decided_by else None


def _goes_on(
    points: Sequence[Point], scope: str, policy: SyncPolicy, begun: Handled | None, wish: Wish
) -> tuple[Point, Statement] | None:
    """What decided a turn whose handling is under way and that has not ended since, whatever was said besides."""
    if begun is None or begun.wish is not wish or _is_over(points, scope, policy, begun):
        return None
    found = ((point, s) for point in points for s in point.statements if s.uid == begun.uid)
    return next(found, None)


def _is_over(points: Sequence[Point], scope: str, policy: SyncPolicy, known: Handled) -> bool:
    """Whether what was handled had ended before the standing became the same again. Something more of the same said
    meanwhile is no new turn."""
    same_kind = _OUTS if known.wish is Wish.OUT else {StatementKind.GRANT}
    for point in points:
        if any(s.uid == known.uid for s in point.statements):
            alone = [s for s in point.statements if s.kind not in same_kind or s.uid == known.uid]
            return _standing(alone, scope, policy).wish is not known.wish
    return False
