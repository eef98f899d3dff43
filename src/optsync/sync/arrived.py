"""Values of ours that have arrived although the answer to the write was lost."""

from collections.abc import Collection, Sequence

from optsync.model.link import Agreed
from optsync.model.record import Record, Side
from optsync.reconcile.transforms import same
from optsync.state.changes import Change
from optsync.state.unit import Unit
from optsync.sync.agreements import Agreements
from optsync.sync.binding import SourceBinding
from optsync.sync.carrying import Reading
from optsync.sync.receipts import doubt, plain


def doubt_unanswered(unit: Unit, ids: Collection[int]) -> None:
    """What was being sent when its process died may have arrived: the records are looked at before they are read."""
    sent = [c for c in unit.changes.fields_of(ids) if c.record_id is not None and c.sent_at is not None]
    doubts = unit.records.doubts({c.record_id for c in sent if c.record_id is not None})
    for change in sent:
        if change.record_id is not None and change.sent_at is not None:
            doubts[change.record_id] = doubt(change, change.sent_at).after(doubts.get(change.record_id))
    unit.records.set_unsure(doubts)


def agree_on_arrived(unit: Unit, binding: SourceBinding, news: Sequence[Reading]) -> None:
    """What the records show by such a write is agreed on with the other side: what somebody has changed there since is
    news, and in no conflict with our own value."""
    unsure = {n.old.key: (n.old.record, n.record) for n in news if n.old and n.old.unsure and n.old.unsure.fields}
    if not unsure:
        return
    is_esp = binding.side is Side.ESP
    for change in unit.changes.lost_fields(unsure):
        key, counterpart = change.record_id, change.write["counterpart"]
        if key is None or counterpart is None or not _has_arrived(change, *unsure[key]):
            continue
        crm, esp = (counterpart, key) if is_esp else (key, counterpart)
        agreements = Agreements(unit, change.sync, [esp])
        agreed = change.write["agreed"].items()
        agreements.agree(crm, esp, {name: Agreed(plain(a), plain(b)) for name, (a, b) in agreed})
        agreements.save()


def _has_arrived(change: Change, before: Record, now: Record) -> bool:
    """Whether the record shows all that was written, and did not before."""
    written = {name: plain(value) for name, value in change.after.items()}
    is_shown = all(name in now.fields and same(now.fields[name], value) for name, value in written.items())
    return is_shown and any(not same(before.fields.get(name), value) for name, value in written.items())
