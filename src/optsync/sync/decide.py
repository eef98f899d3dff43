"""Working off the backlog: load what is around some points, decide, journal the plan."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from optsync.model.change import ChangeKind
from optsync.model.masking import mask
from optsync.model.record import Side
from optsync.model.statement import Statement
from optsync.reconcile.asking import expired
from optsync.reconcile.identity import together
from optsync.reconcile.plan import decide, first_sight_statements, priority
from optsync.reconcile.policy import Inactive, SyncPolicy
from optsync.reconcile.view import Decision, Intent, Neighbourhood, Point, Question, Seen, is_in_list
from optsync.state.changes import NewChange
from optsync.state.issues import NewIssue
from optsync.state.records import Observed
from optsync.state.unit import Unit
from optsync.sync.binding import SourceBinding
from optsync.sync.claims import REFUSED
from optsync.sync.disputed import disputed
from optsync.sync.elsewhere import fellows_around, members_elsewhere
from optsync.sync.engine import Engine
from optsync.sync.held import HeldChanges
from optsync.sync.joined_topics import late, newly_mapped, no_longer_late
from optsync.sync.progress import Progress
from optsync.sync.refusals import TIME_HAS_COME, left_by_self, refused_for_good
from optsync.sync.reject import ISSUE as REJECTION
from optsync.sync.retraction import retracted, written
from optsync.sync.signs import last_mailed
from optsync.sync.turn import Turn

BATCH = 500


class Decider:
    """Plans the changes of one sync in one turn; of a cautious one the points stay on the backlog. ``held``: what
    earlier runs hold."""

    def __init__(
        self,
        engine: Engine,
        sync: str,
        run: str,
        guarded: Callable[[Unit], None],
        *,
        turn: Turn,
        held: HeldChanges,
        progress: Progress,
    ) -> None:
        self._engine = engine
        self._policy = engine.bound.policies[sync]
        self._run = run
        self._guarded = guarded
        self._turn = turn
        self._is_cautious = turn.is_cautious
        self._held = held
        self._progress = progress
        self.planned = 0
        """How many changes were planned."""

    def work_off(self) -> None:
        """Looks at every point on the sync's backlog."""
        sync = self._policy.name
        done, total = 0, 0
        keys: Sequence[int] = ()
        while True:
            with self._engine.store.transaction() as unit:
                self._guarded(unit)
                if not done:
                    unit.points.mark([sync], unit.issues.let_go(sync, reason=TIME_HAS_COME))
                keys = keys or unit.points.waiting(sync, limit=BATCH)
                if not keys:
                    return
                total = total or (unit.points.count_waiting(sync) if len(keys) == BATCH else len(keys))
                self._decide(unit, keys)
                following = unit.points.waiting(sync, after=keys[-1], limit=BATCH)
            done += len(keys)
            self._progress.step(f"decide {sync}", done, max(total, done))
            if not following:
                return
            keys = following

    def _decide(self, unit: Unit, keys: Sequence[int]) -> None:
        asked = unit.points.marks(self._policy.name, keys)
        around = load_around(unit, self._engine, self._policy, keys, run=self._run)
        keys = together(keys, around)
        found = first_sight_statements(keys, around, self._policy)
        ended, undecided = ([], frozenset()) if self._is_cautious else expired(keys, around, self._policy)
        found.extend(ended)
        if found:
            unit.ledger.append(found, run=self._run)
            others = [name for name in self._engine.bound.policies if name != self._policy.name]
            unit.points.mark(others, {key for key, _ in found})
            around = _told_since(unit, around, {key for key, _ in found})
        decision = decide(keys, around, self._policy)
        wanted = self._held.sort_out(unit, keys, around.points, decision.intents)
        kept = [(intent, plan) for intent, plan in wanted if self._may_go(intent)]
        decided = frozenset(keys)
        records = {s.key for s in (*around.crm, *around.esp) if decided.intersection(s.points)}
        unit.changes.overtake(self._policy.name, keys, records, newest=self._turn.newest)
        unit.changes.plan(self._run, [new_change(self._policy.name, intent, plan) for intent, plan in kept])
        self.planned += len(kept)
        unit.links.save(self._policy.name, decision.settled)
        if not self._is_cautious:
            unit.links.drop(self._policy.name, decision.dropped)
            no_longer_late(unit, self._policy, {each for each in around.late if each[0] in keys})
        self._ask(unit, decision.questions)
        self._note_skipped(unit, around, decision, keys)
        self._cache(unit, around, keys)
        if not self._is_cautious and len(kept) == len(wanted):
            unit.points.done(self._policy.name, {k: marks for k, marks in asked.items() if k not in undecided})
        if self._policy.handled_scopes:
            unit.points.mark([handling_queue(self._policy.name)], keys)

    def _may_go(self, intent: Intent) -> bool:
        return intent.system in self._turn.available and (intent.is_restrictive or not self._is_cautious)

    def _ask(self, unit: Unit, questions: Sequence[Question]) -> None:
        asked = {o.key: o for o in unit.records.load({q.record for q in questions})}
        for question in questions:
            unit.issues.open(
                NewIssue(
                    kind=question.kind,
                    message=question.message,
                    sync=self._policy.name,
                    system=question.system or self._policy.crm_system,
                    collection=asked[question.record].collection,
                    record=asked[question.record].record.id,
                    point_id=question.point,
                    field=question.field,
                    values={side: mask(value) for side, value in question.values.items()},
                    blocks=question.about,
                ),
                run=self._run,
            )

    def _note_skipped(self, unit: Unit, around: Neighbourhood, decision: Decision, keys: Sequence[int]) -> None:
        judged = (seen for key in keys for seen in around.by_primary.get(key, ()))
        looked_at = {seen.key: decision.skipped.get(seen.key) for seen in judged}
        unit.records.set_skipped(looked_at)

    def _cache(self, unit: Unit, around: Neighbourhood, keys: Sequence[int]) -> None:
        policy = self._policy
        scopes = (policy.scope, *policy.mapped_topics)
        standings = ((key, scope, around.points[key].standing(scope, policy)) for key in keys for scope in scopes)
        unit.points.cache_standings({(key, scope): found.wish.value for key, scope, found in standings})


def handling_queue(sync: str) -> str:
    """The backlog of points whose custom handling is to be looked at; no sync can have this name."""
    return f"handling/{sync}"


def load_around(unit: Unit, engine: Engine, policy: SyncPolicy, keys: Collection[int], *, run: str) -> Neighbourhood:
    """The records that hold one of the points or the first address of such a record, their other points, and the
    records that hold those."""
    bindings = bindings_by_source(unit, engine, policy)
    ids = list(bindings)
    keys, first = _with_partners(unit, policy, keys, ids)
    while more := {o.points[0] for o in first if o.points}.difference(keys):
        further, found = _with_partners(unit, policy, more, ids)
        keys, first = further.union(keys), list({o.key: o for o in (*first, *found)}.values())
    first.sort(key=lambda o: o.key)
    others = {p for o in first for p in o.points} - set(keys)
    second = unit.records.load(unit.records.holding(others, ids) - {o.key for o in first}) if others else []
    observed = [*first, *second]
    points = set(keys) | {p for o in observed for p in o.points}
    about = unit.ledger.about(points)
    revised = retracted(about)
    seen = [seen_of(o, bindings[o.source_id]) for o in observed]
    esp = tuple(s for s in seen if s.side is Side.ESP)
    ticked = unit.sources.ticked(ids)
    return Neighbourhood(
        now=engine.clock.now(),
        points=_points(unit, policy, about),
        crm=tuple(s for s in seen if s.side is Side.CRM),
        esp=esp,
        links=unit.links.of(policy.name, [s.key for s in esp]),
        ticked=frozenset((bindings[source].side, topic) for source, topic in ticked),
        put_back=unit.plans.put_back_at(policy.name, revised),
        written=written(unit, policy.name, observed, revised),
        blocked=_blocked(unit, policy, points),
        refused=unit.issues.subjects_of_run(REFUSED, run),
        mailed_at=_mailed(unit, engine, policy),
        left_by_self=left_by_self(unit, policy, points),
        refused_for_good=refused_for_good(unit, policy, points, esp),
        first_seen=_first_seen(unit, seen, policy),
        newly_mapped=newly_mapped(unit, policy),
        late=late(unit, policy, points),
        disputed=disputed(unit, engine, policy, points),
        members_elsewhere=members_elsewhere(unit, engine, policy, seen),
        fellows=fellows_around(unit, engine, policy, points, seen),
    )


def _first_seen(unit: Unit, seen: Sequence[Seen], policy: SyncPolicy) -> Mapping[int, datetime]:
    crm = (s for s in seen if s.side is Side.CRM) if policy.crm.topics and policy.has_list_scope else ()
    outside = {s.primary for s in crm if s.primary is not None and not is_in_list(s, policy)}
    return unit.records.first_seen({s.key for s in seen if s.primary in outside}) if outside else {}


def bindings_by_source(unit: Unit, engine: Engine, policy: SyncPolicy) -> dict[int, SourceBinding]:
    """The bindings of a sync by the keys of their sources; what was never read is left out."""
    known = {(source.system, source.collection): source.id for source in unit.sources.all()}
    bindings = ((known.get((b.system, b.collection)), b) for b in engine.bound.sources_of(policy.name))
    return {key: binding for key, binding in bindings if key is not None}


def _told_since(unit: Unit, around: Neighbourhood, keys: Collection[int]) -> Neighbourhood:
    """The same with what was said about these points since it was loaded."""
    told = {key: replace(around.points[key], statements=said) for key, said in unit.ledger.about(keys).items()}
    return replace(around, points={**around.points, **told})


def _points(unit: Unit, policy: SyncPolicy, about: Mapping[int, tuple[Statement, ...]]) -> dict[int, Point]:
    addresses = unit.points.addresses(about)
    active = unit.points.active(about) if policy.inactive is not Inactive.KEEP else {}
    return {
        key: Point(
            key=key,
            address=addresses.get(key, ""),
            statements=said,
            is_forgotten=key not in addresses,
            active_at=active.get(key),
        )
        for key, said in about.items()
    }


def _blocked(unit: Unit, policy: SyncPolicy, points: Collection[int]) -> frozenset[str]:
    blocked = unit.issues.blocked(policy.name)
    rejected = [uid for uid, kind in blocked.items() if kind == REJECTION]
    return frozenset(blocked) | unit.plans.rejected_at(rejected, points)


def _mailed(unit: Unit, engine: Engine, policy: SyncPolicy) -> datetime | None:
    if policy.inactive is Inactive.KEEP:
        return None
    source = unit.sources.require(policy.esp_system, policy.audience)
    return last_mailed(unit, source.id, now=engine.clock.now(), within=policy.inactive_after)


def _with_partners(
    unit: Unit, policy: SyncPolicy, keys: Collection[int], sources: Sequence[int]
) -> tuple[set[int], list[Observed]]:
    """The records that hold one of the points. Where one is linked with a record that shows another address, that
    address is looked at as well, as if it had been asked for, and so is what is linked with whoever has it."""
    wider, found = set(keys), unit.records.holding(keys, sources)
    followed: set[int] = set()
    while partners := unit.links.partners(policy.name, found - followed) - found:
        followed |= found
        known = [o for o in unit.records.load(partners) if o.source_id in sources]
        wider.update(o.points[0] for o in known if o.points)
        found |= {o.key for o in known} | unit.records.holding(wider, sources)
    return wider, unit.records.load(found)


def seen_of(observed: Observed, binding: SourceBinding) -> Seen:
    """A stored record as the reconciler looks at it."""
    return Seen(
        key=observed.key,
        system=observed.system,
        collection=observed.collection,
        side=binding.side,
        record=observed.record,
        points=observed.points,
        is_gone=observed.is_gone,
    )


def new_change(sync: str, intent: Intent, plan: str | None = None) -> NewChange:
    """The intent as it is journaled; ``plan``: the held one that it belongs to."""
    return NewChange(
        sync=sync,
        system=intent.system,
        collection=intent.collection,
        record_id=intent.record,
        point_id=intent.point,
        kind=intent.kind,
        priority=priority(intent.kind, is_restrictive=intent.is_restrictive),
        rule=intent.rule,
        before=intent.before,
        after=intent.after,
        causes=intent.causes,
        write=_write(intent),
        fingerprint=intent.fingerprint,
        plan=plan,
    )


def _write(intent: Intent) -> dict[str, object]:
    """What the apply step needs beyond the journal's columns."""
    evidence = intent.evidence
    return {
        "kind": intent.write,
        "is_restrictive": intent.is_restrictive,
        "is_request": intent.kind is ChangeKind.REQUEST,
        "status": intent.status,
        "topics": dict(intent.topics),
        "fields": dict(intent.fields),
        "tags": dict(intent.tags),
        "address": intent.address,
        "evidence": None
        if evidence is None
        else {
            "at": evidence.at.isoformat() if evidence.at else None,
            "ip": evidence.ip,
            "source": evidence.source,
            "text": evidence.text,
        },
        "agreed": {key: [a.crm, a.esp] for key, a in intent.agreed.items()},
        "counterpart": intent.counterpart,
        "left": intent.left,
        "inactive": intent.inactive,
    }
