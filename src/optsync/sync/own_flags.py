"""Opt-out flags that we have set because one of a contact's addresses is out: they speak for that one only, also when
they are read as if for the first time."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from optsync.model.change import ChangeKind, ChangeState
from optsync.model.record import Status
from optsync.model.scope import contains
from optsync.model.statement import Statement, StatementKind
from optsync.reconcile.detect import Detected
from optsync.reconcile.representation import shown
from optsync.state.changes import Change
from optsync.state.records import Observed
from optsync.state.unit import Unit
from optsync.sync.binding import SourceBinding

_OUTS = frozenset({StatementKind.OUT, StatementKind.COMPLAINT})
OwnFlags = Collection[tuple[int, str]]
"""Keys of records, with the flags."""


def own_flags(unit: Unit, binding: SourceBinding, olds: Iterable[Observed]) -> OwnFlags:
    """Of records as they were last seen: the flags that they show since we set them, for something that the ledger has.
    Where a write is in doubt, whoever set the flag may have been faster."""
    certain = [old for old in olds if old.points and old.unsure is None]
    flags = [(r.opt_out, r) for r in binding.representations if r.opt_out]
    flagged = {(o.key, flag): r for flag, r in flags for o in certain if shown(o.record, r).status is Status.OUT}
    newest = _newest(unit, binding, {key for key, _ in flagged}) if flagged else {}
    set_by = {at: newest[at] for at in flagged if at in newest and _sets(newest[at], at[1])}
    about = unit.ledger.about({change.point_id for change in set_by.values()})
    return {at for at, c in set_by.items() if any(_is_cause(s, c, flagged[at].scope) for s in about[c.point_id])}


def _newest(unit: Unit, binding: SourceBinding, keys: Collection[int]) -> Mapping[tuple[int, str], Change]:
    """What was last written, by record and field."""
    written = [change for sync in binding.syncs for change in unit.changes.about_wishes(sync, keys)]
    written.sort(key=lambda change: change.id)
    return {(c.record_id, name): c for c in written if c.record_id is not None for name in c.after}


def _sets(change: Change, flag: str) -> bool:
    is_ours = change.kind is ChangeKind.OPT_OUT and change.state is ChangeState.APPLIED
    return is_ours and change.after[flag] is True


def _is_cause(said: Statement, change: Change, scope: str) -> bool:
    return said.uid in change.causes and said.kind in _OUTS and contains(said.scope, scope)


def without_flag(found: Detected, scope: str) -> Detected:
    """Without what a flag says about that scope, at a first sight."""
    others = (s for s in found.said if not (s.for_all and _is_out_of(s.statement, scope)))
    return replace(found, said=tuple(others))


def _is_out_of(said: Statement, scope: str) -> bool:
    return said.kind is StatementKind.OUT and said.scope == scope
