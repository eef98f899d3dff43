"""Putting back: when an out is retracted, whatever shows it shows again what it showed before: the record that said
it, and those into which it was written because of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from optsync.model.record import BY_THEMSELF, Record, Status, Value
from optsync.model.statement import Statement, StatementKind
from optsync.reconcile.representation import Representation, shown
from optsync.reconcile.view import Neighbourhood, Seen, Written

_BEFORE = "shown_before"
_COLLECTION = "collection"
_WANTED = "wanted"
_FLAGS = ("opt_out", "opt_in")


@dataclass(frozen=True, slots=True, kw_only=True)
class PutBack:
    """What a record showed before an out that was retracted: ``flags`` to write, or a ``status``."""

    cause: str
    """The retraction."""
    flags: Mapping[str, Value]
    status: Status | None = None


def remembered(before: Record, representation: Representation, scope: str, collection: str = "") -> dict[str, str]:
    """What the record showed before it came to say out, as evidence of that out. ``collection``: the record's, since
    a lead may have the number of a contact, and a member the same address on every list."""
    told = of_collection(collection)
    if scope != representation.scope:
        return {_BEFORE: _WANTED, **told}
    flags = {"opt_out": representation.opt_out, "opt_in": representation.opt_in}
    values = {f"{key}_before": _yes(before.fields.get(name)) for key, name in flags.items() if name}
    return {_BEFORE: shown(before, representation).status.value, **values, **told}


def of_collection(collection: str) -> dict[str, str]:
    """As evidence: in which of its system's collections the record is that said it."""
    return {_COLLECTION: collection} if collection else {}


def is_said_by(said: Statement, system: str, collection: str, record: str) -> bool:
    """Whether a record said it. Where the collection is not told, it may have."""
    return (said.system, said.evidence.get(_COLLECTION, collection), said.record) == (system, collection, record)


def _yes(value: Value) -> str:
    return "yes" if value is True else "no"


def put_back(seen: Seen, around: Neighbourhood, representation: Representation) -> PutBack | None:
    """What the record must show again, None where nothing of it was retracted, nothing is known of before, or the
    person has spoken there."""
    if not around.may_put_back:
        return None
    return _said_here(seen, around, representation) or _written_here(seen, around, representation)


def topic_retracted(seen: Seen, around: Neighbourhood, scope: str, name: str) -> str | None:
    """The retraction of an out for a topic that was on at this record before. ``name``: the record's for it."""
    if not around.may_put_back:
        return None
    for out, cause in _retracted(seen, around, scope):
        if out.evidence.get(_BEFORE) == _WANTED:
            return cause
        break
    newest = next((w for w in around.written.get(seen.key, ()) if w.is_topics and name in w.after), None)
    if newest is None or newest.before.get(name) is not True or seen.record.topics.get(name) is not False:
        return None
    return _voiding(newest, seen, around, scope)


# what the record said itself


def _said_here(seen: Seen, around: Neighbourhood, representation: Representation) -> PutBack | None:
    for out, cause in _retracted(seen, around, representation.scope):
        was = out.evidence.get(_BEFORE)
        if was == Status.OUT:
            continue  # said again while it was out already: what was before that counts
        if was is None:
            return None
        if representation.uses_flags:
            flags = _flags(seen.record, out.evidence, representation)
            return PutBack(cause=cause, flags=flags) if flags else None
        if was == Status.IN and _is_out_by_others(seen.record):
            return PutBack(cause=cause, flags={}, status=Status.IN)
        return None
    return None


def _is_out_by_others(record: Record) -> bool:
    return record.status is Status.OUT and record.origin not in BY_THEMSELF


def _flags(record: Record, before: Mapping[str, str], representation: Representation) -> dict[str, Value]:
    """Only what the out has changed: a set opt-out is cleared, a cleared opt-in is set."""
    names = (representation.opt_out, representation.opt_in)
    found: dict[str, Value] = {}
    for key, name, permits in zip(_FLAGS, names, (False, True), strict=True):
        had = before.get(f"{key}_before")
        if name and had == _yes(permits) and (record.fields.get(name) is True) is not permits:
            found[name] = permits
    return found


def _retracted(seen: Seen, around: Neighbourhood, scope: str) -> Iterator[tuple[Statement, str]]:
    """Outs that this record said and an administrator voided, the newest first, each with its retraction."""
    found: dict[str, tuple[Statement, str]] = {}
    for said, cause in _voided(seen, around):
        is_own = is_said_by(said, seen.system, seen.collection, seen.record.id)
        if is_own and said.kind is StatementKind.OUT and said.scope == scope:
            found[said.uid] = (said, cause)
    yield from sorted(found.values(), key=lambda pair: (pair[0].at, pair[0].uid), reverse=True)


def _voided(seen: Seen, around: Neighbourhood) -> Iterator[tuple[Statement, str]]:
    """What was said about the record's addresses and voided, each with its retraction."""
    for key in seen.points:
        statements = around.points[key].statements
        voided = {s.target: s.uid for s in statements if s.kind is StatementKind.RETRACT}
        for said in statements if voided else ():
            if said.uid in voided and not said.is_personal:
                yield said, voided[said.uid]


# what was written into the record


def _written_here(seen: Seen, around: Neighbourhood, representation: Representation) -> PutBack | None:
    newest = next((w for w in around.written.get(seen.key, ()) if not w.is_topics), None)
    if newest is None or not newest.is_restrictive:
        return None
    cause = _voiding(newest, seen, around)
    if cause is None:
        return None
    if not representation.uses_flags:
        # Whoever leaves a list of their own accord after that has an out of their own.
        is_out = _is_out_by_others(seen.record) or seen.record.status is Status.ABSENT
        is_due = newest.before.get("status") == Status.IN and is_out
        return PutBack(cause=cause, flags={}, status=Status.IN) if is_due else None
    if any(seen.record.fields.get(name) != value for name, value in newest.after.items()):
        return None
    names = (representation.opt_out, representation.opt_in)
    flags: dict[str, Value] = {
        name: permits
        for name, permits in zip(names, (False, True), strict=True)
        if name in newest.after and name is not None and (newest.before.get(name) is True) is permits
    }
    return PutBack(cause=cause, flags=flags) if flags else None


def _voiding(written: Written, seen: Seen, around: Neighbourhood, scope: str | None = None) -> str | None:
    """The retraction of what caused a write; None while any cause of it stands. With ``scope``: of the causes about
    exactly that topic."""
    voided = {said.uid: cause for said, cause in _voided(seen, around)}
    causes = written.causes if scope is None else _about(written.causes, seen, around, scope)
    if not causes or not all(uid in voided for uid in causes):
        return None
    return min(voided[uid] for uid in causes)


def _about(causes: Iterable[str], seen: Seen, around: Neighbourhood, scope: str) -> list[str]:
    said = {s.uid for key in seen.points for s in around.points[key].statements if s.scope == scope}
    return [uid for uid in causes if uid in said]
