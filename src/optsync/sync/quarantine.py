"""Rows that cannot be used: what is heard of them all the same."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from optsync.model.record import Record, Value
from optsync.reconcile.representation import Representation
from optsync.state.sources import Source
from optsync.state.unit import Unit
from optsync.sync.binding import SourceBinding
from optsync.sync.sifting import Sifted


def hearing(unit: Unit, binding: SourceBinding, source: Source, sifted: Sifted) -> Sifted:
    """With readings of known records whose rows cannot be used: as they were, but for what came to restrict."""
    told = {f.record: f.readable for f in sifted.faults if f.readable is not None and f.record not in sifted.shown}
    if not told or not source.is_known:
        return sifted
    known = unit.records.known(source.id, list(told))
    olds = [o.record for o in unit.records.load(one.key for one in known.values()) if not o.is_gone]
    heard = {old.id: restricted(old, told[old.id], binding.representations) for old in olds}
    news = {old.id: heard[old.id] for old in olds if heard[old.id] != old}
    return replace(sifted, records={**sifted.records, **news}, known={**sifted.known, **known})


def restricted(old: Record, now: Record, representations: Iterable[Representation]) -> Record:
    """The record as it was, with the opt-outs that ``now`` shows and the yeses that it does not show any more."""
    fields: dict[str, Value] = {}
    topics: dict[str, bool | None] = {}
    for each in representations:
        if each.opt_out and now.fields.get(each.opt_out) is True:
            fields[each.opt_out] = True
        if each.opt_in and _was_taken_back(each.opt_in, old.fields, now.fields):
            fields[each.opt_in] = now.fields[each.opt_in]
        topics |= {name: now.topics[name] for _, name in each.topics if _was_taken_back(name, old.topics, now.topics)}
    return replace(old, fields={**old.fields, **fields}, topics={**old.topics, **topics})


def _was_taken_back(name: str, old: Mapping[str, Value], now: Mapping[str, Value]) -> bool:
    """What cannot be read was not."""
    return name in now and now[name] is not True and old.get(name) is True
