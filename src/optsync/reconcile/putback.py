"""Putting back: when an out is retracted, the record that said it shows again what it showed before."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from optsync.model.record import Origin, Record, Status, Value
from optsync.model.statement import Statement, StatementKind
from optsync.reconcile.representation import Representation, shown
from optsync.reconcile.view import Neighbourhood, Seen

_BEFORE = "shown_before"
_WANTED = "wanted"
_FLAGS = ("opt_out", "opt_in")


@dataclass(frozen=True, slots=True, kw_only=True)
class PutBack:
    """What a record showed before an out that was retracted: ``flags`` to write, or a ``status``."""

    cause: str
    """The retraction."""
    flags: Mapping[str, Value]
    status: Status | None = None


def remembered(before: Record, representation: Representation, scope: str) -> dict[str, str]:
    """What the record showed before it came to say out, as evidence of that out."""
    if scope != representation.scope:
        return {_BEFORE: _WANTED}
    flags = {"opt_out": representation.opt_out, "opt_in": representation.opt_in}
    values = {f"{key}_before": _yes(before.fields.get(name)) for key, name in flags.items() if name}
    return {_BEFORE: shown(before, representation).status.value, **values}


def _yes(value: Value) -> str:
    return "yes" if value is True else "no"


def put_back(seen: Seen, around: Neighbourhood, representation: Representation) -> PutBack | None:
    """What the record must show again, None where nothing of it was retracted, nothing is known of before, or the
    person has spoken there."""
    for out, cause in _retracted(seen, around, representation.scope):
        was = out.evidence.get(_BEFORE)
        if was == Status.OUT:
            continue  # said again while it was out already: what was before that counts
        if was is None:
            return None
        if representation.uses_flags:
            flags = _flags(seen.record, out.evidence, representation)
            return PutBack(cause=cause, flags=flags) if flags else None
        is_persons = seen.record.origin in {Origin.PERSON, Origin.COMPLAINT}
        if was == Status.IN and seen.record.status is Status.OUT and not is_persons:
            return PutBack(cause=cause, flags={}, status=Status.IN)
        return None
    return None


def topic_retracted(seen: Seen, around: Neighbourhood, scope: str) -> str | None:
    """The retraction of this record's out for a topic that was on before."""
    for out, cause in _retracted(seen, around, scope):
        return cause if out.evidence.get(_BEFORE) == _WANTED else None
    return None


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
    for key in seen.points:
        statements = around.points[key].statements
        voided = {s.target: s.uid for s in statements if s.kind is StatementKind.RETRACT}
        for said in statements if voided else ():
            is_own = (said.system, said.record) == (seen.system, seen.record.id)
            is_void = said.uid in voided and not said.is_personal
            if is_own and is_void and said.kind is StatementKind.OUT and said.scope == scope:
                found[said.uid] = (said, voided[said.uid])
    yield from sorted(found.values(), key=lambda pair: (pair[0].at, pair[0].uid), reverse=True)
