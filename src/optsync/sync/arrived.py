"""Values of ours that have arrived although the answer to the write was lost."""

from collections.abc import Collection, Sequence

from optsync.model.link import Agreed
from optsync.model.record import Record, Side
from optsync.reconcile.transforms import same
from optsync.state.changes import Change
from optsync.state.records import Observed
from optsync.state.unit import Unit
from optsync.sync.agreements import Agreements
from optsync.sync.binding import SourceBinding
from optsync.sync.carrying import Reading
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
        agreements = Agreements(unit, change.sync, [esp])
        agreed = change.write["agreed"].items()
        agreements.agree(crm, esp, {name: Agreed(plain(a), plain(b)) for name, (a, b) in agreed})
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
