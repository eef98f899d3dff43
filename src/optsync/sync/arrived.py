"""Values of ours that have arrived although the answer to the write was lost."""

from collections.abc import Collection, Mapping, Sequence

from optsync.model.change import ChangeKind, ChangeState
from optsync.model.link import Agreed
from optsync.model.record import Record, Side, Status, Value
from optsync.reconcile.fields import FieldRule
from optsync.reconcile.reading import Reading as Circumstances
from optsync.reconcile.transforms import canonical, same
from optsync.state.changes import Change
from optsync.state.records import Observed
from optsync.state.unit import Unit
from optsync.sync.agreements import Agreements
from optsync.sync.binding import SourceBinding
from optsync.sync.carrying import Reading
from optsync.sync.echoes import is_own_moment, is_own_stamp
from optsync.sync.receipts import doubt, is_kept, plain

_NOTHING: Mapping[str, Value] = {}


def doubt_unanswered(unit: Unit, ids: Collection[int]) -> None:
    """What was being sent when its process died may have arrived: the records are looked at before they are read."""
    left_open = [(c.record_id, doubt(c, c.sent_at)) for c in unit.changes.fields_of(ids) if c.record_id and c.sent_at]
    doubts = unit.records.doubts({key for key, _ in left_open})
    for key, each in left_open:
        doubts[key] = each.after(doubts.get(key))
    unit.records.set_unsure(doubts)


def agree_on_arrived(unit: Unit, binding: SourceBinding, news: Sequence[Reading]) -> None:
    """What the records show by such a write is agreed on with the other side: what somebody has changed there since is
    news, and in no conflict with our own value."""
    unsure = {n.old.key: (n.old, n.record) for n in news if n.old and n.old.unsure and n.old.unsure.fields}
    for change in unit.changes.lost_fields(unsure) if unsure else ():
        key, counterpart = change.record_id, change.write["counterpart"]
        if key is None or counterpart is None or not _has_arrived(change, *unsure[key]):
            continue
        crm, esp = (counterpart, key) if binding.side is Side.ESP else (key, counterpart)
        _agree(unit, change, crm, esp)


def note_archived(unit: Unit, news: Sequence[Reading]) -> None:
    """Members that we took off the list by archiving them, without hearing of it, are put back when they return."""
    for old in (n.old for n in news if n.old and n.record.status is Status.ARCHIVED):
        if old.unsure is None or old.unsure.status != Status.ARCHIVED:
            continue
        sent = (c for c in unit.changes.of_points(old.points) if c.record_id == old.key)
        lost = [c for c in sent if c.kind is ChangeKind.ARCHIVE and c.state is ChangeState.FAILED]
        if lost:
            change = max(lost, key=lambda each: each.id)
            agreements = Agreements(unit, change.sync, [old.key])
            if change.write["left"] is not None:
                agreements.set_left(old.key, left=change.write["left"], is_kept=False, is_tag=False)
            if change.write.get("inactive") is not None:
                agreements.set_inactive(old.key, inactive=change.write["inactive"], is_tag=False)
            agreements.save()


def agree_on_made(
    unit: Unit,
    binding: SourceBinding,
    news: Sequence[Reading],
    keys: Mapping[str, int],
    points: Mapping[str, int],
    now: Circumstances,
) -> None:
    """The same of records that we made and never heard of. ``keys`` of records by id, ``points`` by address."""
    fresh = {points[n.points[0]]: n.record for n in news if n.old is None and n.points}
    sent = unit.changes.permissive(records=(), points=fresh) if fresh else ()
    for change in sorted(sent, key=lambda each: each.id):
        made, counterpart = fresh[change.point_id], change.write["counterpart"]
        is_here = (change.system, change.collection) == (binding.system, binding.collection)
        if not is_here or counterpart is None or not _is_made_by(change, made, now):
            continue
        if any(change.point_id in other.points for other in unit.records.load([counterpart])):
            key = keys[made.id]
            crm, esp = (counterpart, key) if binding.side is Side.ESP else (key, counterpart)
            shown = made.fields if binding.side is Side.ESP else {}
            _agree(unit, change, crm, esp, point=change.point_id, shown=shown)


def _is_made_by(change: Change, made: Record, now: Circumstances) -> bool:
    """By the stamp of its opt-in, which is ours, or by the moment when it was made. Whoever is asked to confirm has no
    stamp, and their click is theirs."""
    if made.opted_in_at is not None and is_own_stamp(made.opted_in_at, [change], now):
        return True
    if change.kind is ChangeKind.REQUEST:
        return made.status in {Status.PENDING, Status.IN}
    return made.created_at is not None and is_own_moment(made.created_at, change, now)


def _agree(
    unit: Unit, change: Change, crm: int, esp: int, *, point: int | None = None, shown: Mapping[str, Value] = _NOTHING
) -> None:
    """``shown``: by the member; of a text for all of which there was no room, what it has kept."""
    agreed: dict[str, Agreed] = {}
    for rule, (crm_value, sent) in change.write["agreed"].items():
        value, kept = plain(sent), shown.get(FieldRule.esp_of(rule))
        is_cut = canonical(kept) is not None and is_kept(kept, value)
        agreed[rule] = Agreed(plain(crm_value), kept if is_cut else value)
    agreements = Agreements(unit, change.sync, [esp])
    agreements.agree(crm, esp, agreed, point=point)
    agreements.save()


def _has_arrived(change: Change, before: Observed, now: Record) -> bool:
    """Whether the record shows all that was written, and did not before; of a write that is in doubt still. One that
    failed long ago tells nothing of what somebody has typed since."""
    written = {name: plain(value) for name, value in change.after.items()}
    doubted = before.unsure.fields if before.unsure else {}
    return (
        all(name in doubted and same(doubted[name], value) for name, value in written.items())
        and all(name in now.fields and same(now.fields[name], value) for name, value in written.items())
        and any(not same(before.record.fields.get(name), value) for name, value in written.items())
    )
