"""A record that was given another address by us: the last look before it, and the receipt after it."""

from collections.abc import Iterable, Iterator, Sequence

from optsync.model.contact_point import same_mailbox
from optsync.model.record import Record, Side, Status
from optsync.model.statement import Statement, StatementKind
from optsync.reconcile.consent import effective
from optsync.reconcile.putback import is_said_by
from optsync.reconcile.representation import shown
from optsync.state.changes import Change
from optsync.state.records import Observed
from optsync.state.unit import Unit
from optsync.sync.binding import SourceBinding


def may_rename(observed: Observed, change: Change, binding: SourceBinding) -> bool:
    """Whether the record still has the address that it is to lose, and a member is still subscribed."""
    shown = observed.record.addresses
    has_address = bool(shown) and same_mailbox(shown[0], change.before["address"])
    is_active = binding.side is Side.CRM or observed.record.status is Status.IN
    return has_address and is_active and not observed.is_gone


def renamed(
    unit: Unit,
    binding: SourceBinding,
    old: Observed,
    written: Record,
    addresses: Sequence[str],
    *,
    rid: str | None,
    run: str,
) -> None:
    """Stores the new points, and the id that the vendor may have changed with the address; the points are looked at
    again in every sync that reads the source, or shares an audience with one that does."""
    points = unit.points.require(addresses)
    listed = [points[a] for a in addresses]
    unit.records.set_points({old.key: listed})
    flags = list(flags_shown(binding, written, (s for about in unit.ledger.about(old.points).values() for s in about)))
    unit.ledger.append(((p, said) for p in listed if p not in old.points for said in flags), run=run)
    if rid is not None and rid != old.record.id:
        _give_id(unit, old, written, rid)
    unit.points.mark(binding.concerned, {*old.points, *listed})


def flags_shown(binding: SourceBinding, record: Record, said: Iterable[Statement]) -> Iterator[Statement]:
    """What somebody said by a flag that the record still shows: it speaks for addresses that come later, too. What has
    lifted it at the former address lifts it at the new one only if it follows there. ``said``: about the former."""
    outs = [each for each in effective(said) if each.kind is StatementKind.OUT]
    for representation in binding.representations:
        if representation.uses_flags and shown(record, representation).status is Status.OUT:
            own = (each for each in outs if is_said_by(each, binding.system, binding.collection, record.id))
            yield from (each for each in own if each.scope == representation.scope)


def _give_id(unit: Unit, old: Observed, written: Record, rid: str) -> None:
    known = unit.records.by_rid(old.source_id, [rid]).get(rid)
    if known is None:
        unit.records.set_rid(old.key, rid)
        return
    # The id was another record's, which is there no more: what it was goes on under it.
    unit.records.set_missing([old.key], since=old.read_at, is_gone=True)
    unit.records.replace([(known.key, written)], at=old.read_at)
