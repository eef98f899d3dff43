"""What was decided and released, and waits for a system to take it, over as many cycles as that needs.

It is neither decided nor journaled again meanwhile: deciding again in every cycle what a slow system has no time for
would cost the square of the people. What restricts never waits like this; a run that could not send it decides it anew.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from optsync.connect.contract import CanForesee, can
from optsync.model.change import ChangeKind, WriteKind
from optsync.reconcile.identity import together
from optsync.reconcile.plan import ORDINARY, decide
from optsync.reconcile.policy import SyncPolicy
from optsync.reconcile.rules import Rule
from optsync.state.changes import Change
from optsync.state.codec import dumps
from optsync.state.records import Observed
from optsync.state.unit import Unit
from optsync.sync.decide import load_around, new_change
from optsync.sync.disputed import kept_back, look_again
from optsync.sync.engine import Engine
from optsync.sync.guard import HELD
from optsync.sync.out_of_sight import note_sight
from optsync.sync.receipts import plain

NOT_DECIDED = frozenset({Rule.UNDONE, Rule.HANDLED_OPT_OUT, Rule.HANDLED_OPT_IN})
"""Rules of what does not follow from what the records show: nobody could decide it again before it is sent."""


def may_wait(change: Change) -> bool:
    """Whether the change stays as it was decided when it cannot be sent now."""
    return change.priority >= ORDINARY and change.rule not in NOT_DECIDED


def decided_key(sync: str) -> str:
    """Where the digest is kept of what decided whatever waits."""
    return f"decided_by:{sync}"


def is_decided_alike(unit: Unit, engine: Engine, sync: str) -> bool:
    """Whether what waits was decided by this configuration and this version; notes that from now on all is. Otherwise
    everybody is looked at again: no reading tells of another policy."""
    key = decided_key(sync)
    known, now = unit.meta.get(key), engine.bound.decisions[sync]
    if known != now:
        unit.meta.put(key, now)
        sources = (unit.sources.require(b.system, b.collection) for b in engine.bound.sources_of(sync))
        unit.points.mark_everybody(sync, [source.id for source in sources])
        note_sight(unit, engine.bound, sync)
    return known == now


def note_unheard(unit: Unit, policies: Mapping[str, SyncPolicy]) -> None:
    """Nothing that is said from now on comes onto the backlog of a sync other than these: they are the ones that are
    configured. When another one is configured again, everybody is looked at, and what it holds is told again. Until
    then it keeps nothing back from these."""
    for key in unit.meta.beginning(decided_key("")):
        sync = key.removeprefix(decided_key(""))
        if sync not in policies and unit.meta.get(key):
            unit.meta.put(key, "")
            look_again(unit, policies, sync, kept_back(unit, sync))
            for plan in unit.plans.held(sync):
                unit.issues.close(HELD, sync=sync, blocks=plan.uid, reason="the sync is not configured any more")


def still_follow(unit: Unit, engine: Engine, changes: Sequence[Change], *, run: str) -> set[int]:
    """Those of these changes, all of one sync, that may be sent as they were decided. Time has gone by since: nobody
    may have spoken, and a write that permits something must follow from what is known now, exactly as it did."""
    sync = changes[0].sync
    spoken = set(unit.points.still_waiting(sync, {c.point_id for c in changes}))
    quiet = [c for c in changes if c.point_id not in spoken]
    holders = {o.key: o for o in unit.records.load(c.record_id for c in quiet if c.record_id is not None)}
    found = {c.id for c in quiet if _is_value(c) and _shows(holders.get(c.record_id or 0), c)}
    others = [c for c in quiet if not _is_value(c)]
    if not others:
        return found
    policy = engine.bound.policies[sync]
    # What happens to a record is decided at any of its addresses.
    held = (holders[c.record_id] for c in others if c.record_id in holders)
    keys = {c.point_id for c in others} | {point for o in held for point in o.points}
    around = load_around(unit, engine, policy, keys, run=run)
    decision = decide(together(keys, around), around, policy)
    wanted = {_essence(new_change(policy.name, intent)) for intent in decision.intents}
    return found | {c.id for c in others if _essence(c) in wanted}


def _is_value(change: Change) -> bool:
    """Whether it permits nothing and restricts nothing."""
    return change.kind is ChangeKind.FIELD and change.write["kind"] == WriteKind.FIELDS


def _shows(observed: Observed | None, change: Change) -> bool:
    """Whether the record still has the values that the change was decided on."""
    if observed is None or observed.is_gone:
        return False
    return all(observed.record.fields.get(name) == plain(value) for name, value in change.before.items())


def _essence(change: Any) -> tuple[Any, ...]:
    """What a decision comes to, as it is in the journal."""
    values = (change.before, change.after, list(change.causes), change.write)
    where = (change.system, change.collection, change.record_id, change.point_id)
    return (*where, str(change.kind), str(change.rule), *(dumps(value) for value in values))


# when it goes on


def note_not_before(unit: Unit, engine: Engine, sync: str, moments: Mapping[str, datetime]) -> None:
    """Remembers until when systems take nothing ordinary of the sync, and when they expect to be through with it."""
    through = {system: _through(unit, engine, sync, system) for system in moments}
    for system, moment in moments.items():
        unit.meta.put(_key("not_before", sync, system), moment.isoformat())
        unit.meta.put(_key("through", sync, system), through[system])


def _through(unit: Unit, engine: Engine, sync: str, system: str) -> str:
    """Nothing where the system cannot tell."""
    connector = engine.connectors[system]
    if not can(connector, CanForesee):
        return ""
    places = [(collection, n) for (where, collection), n in unit.changes.count_ready(sync).items() if where == system]
    needed = [connector.seconds_for(collection, count) for collection, count in places]
    known = [seconds for seconds in needed if seconds is not None]
    if len(known) < len(needed):
        return ""
    return (engine.clock.now() + timedelta(seconds=round(sum(known)))).isoformat()


def waiting(unit: Unit, sync: str, now: datetime) -> dict[str, dict[str, Any]]:
    """By system, how many decided changes wait to be sent; until when the system takes none, and when it is expected to
    be through with them, where it said so."""
    counts: Counter[str] = Counter()
    for (system, _), count in sorted(unit.changes.count_ready(sync).items()):
        counts[system] += count
    told = {name: {s: unit.meta.get(_key(name, sync, s)) for s in counts} for name in ("not_before", "through")}
    return {
        system: {
            "changes": count,
            "until": _if_later(told["not_before"][system], now),
            "through": _if_later(told["through"][system], now),
        }
        for system, count in counts.items()
    }


def _if_later(moment: str | None, now: datetime) -> str | None:
    return moment if moment and datetime.fromisoformat(moment) > now else None


def _key(name: str, sync: str, system: str) -> str:
    return f"{name}:{sync}:{system}"
