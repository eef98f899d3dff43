"""Values of ours that have arrived although the answer to the write was lost."""

from collections.abc import Collection, Mapping, Sequence

from optsync.model.link import Agreed
from optsync.model.record import Record, Side
from optsync.reconcile.reading import Reading as Circumstances
from optsync.reconcile.transforms import same
from optsync.state.changes import Change
from optsync.state.records import Observed
from optsync.state.unit import Unit
from optsync.sync.agreements import Agreements
from optsync.sync.binding import SourceBinding
from optsync.sync.carrying import Reading
from optsync.sync.echoes import is_own_stamp
from optsync.sync.receipts import doubt, plain


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


def agree_on_made(
    unit: Unit,
    binding: SourceBinding,
    news: Sequence[Reading],
    keys: Mapping[str, int],
    points: Mapping[str, int],
    now: Circumstances,
) -> None:
    """The same of members that we made and never heard of: by the stamp of their opt-in, which is ours. ``keys`` of
    records by id, ``points`` by address."""
    if binding.side is not Side.ESP:
        return
    fresh = {points[n.points[0]]: n.record for n in news if n.old is None and n.points and n.record.opted_in_at}
    sent = unit.changes.permissive(records=(), points=fresh) if fresh else ()
    for change in sorted(sent, key=lambda each: each.id):
        member, contact = fresh[change.point_id], change.write["counterpart"]
        is_here = (change.system, change.collection) == (binding.system, binding.collection)
        if not is_here or contact is None or member.opted_in_at is None:
            continue
        holders = unit.records.load([contact])
        if is_own_stamp(member.opted_in_at, [change], now) and any(change.point_id in h.points for h in holders):
            _agree(unit, change, contact, keys[member.id], point=change.point_id)


def _agree(unit: Unit, change: Change, crm: int, esp: int, *, point: int | None = None) -> None:
    agreements = Agreements(unit, change.sync, [esp])
    agreed = change.write["agreed"].items()
    agreements.agree(crm, esp, {name: Agreed(plain(a), plain(b)) for name, (a, b) in agreed}, point=point)
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
