"""Does everybody get what they want? Standings against what each system shows, from the state alone."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from optsync.model.masking import mask
from optsync.model.record import Side, Status
from optsync.reconcile.consent import Wish
from optsync.reconcile.disagreement import About, Cause, Look, Mismatch, look, mismatches
from optsync.reconcile.membership import couple
from optsync.reconcile.policy import SyncPolicy
from optsync.reconcile.representation import shown
from optsync.reconcile.view import Point, Seen, is_in_list
from optsync.state.erasures import NAME
from optsync.state.issues import Issue
from optsync.state.unit import Unit
from optsync.sync.binding import SourceBinding
from optsync.sync.decide import load_around, seen_of
from optsync.sync.engine import Engine
from optsync.sync.permission import Permissions, Verdict, permissions

BATCH = 500
LISTED = 100
_IN_THE_WAY = ("refused", "put_off", "quarantined_field", "needs_confirmation")
NO_ADDRESS = "no_address"
"""In the place of a standing, of records that hold no usable address."""
_SYSTEM_SAYS: Mapping[Status, str] = {
    Status.PENDING: "pending: the person has not confirmed there yet",
    Status.ARCHIVED: "archived: taken off the list there",
    Status.BOUNCED: "bounced: that system takes the address for undeliverable",
    Status.OUT: "unsubscribed there",
    Status.UNKNOWN: "not subscribed there",
}


@dataclass(slots=True)
class Listed:
    """The first entries and the number of all of them."""

    limit: int
    entries: list[dict[str, Any]] = field(default_factory=list)
    total: int = 0

    def add(self, make: Callable[[], dict[str, Any]]) -> None:
        self.total += 1
        if len(self.entries) < self.limit:
            self.entries.append(make())


@dataclass(slots=True, kw_only=True)
class Standings:
    """One sync's part of the report."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    mailed: Listed
    blocked: Listed
    mismatched: Listed

    def to_json(self) -> dict[str, Any]:
        counts = [
            {"standing": standing, "system": system, "shows": status, "count": count}
            for (standing, system, status), count in sorted(self.counts.items())
        ]
        value: dict[str, Any] = {"counts": counts}
        for name, listed in (
            ("mailed_without_basis", self.mailed),
            ("blocked_although_allowed", self.blocked),
            ("mismatches", self.mismatched),
        ):
            value[name] = listed.entries
            value[f"{name}_total"] = listed.total
        return value


def report(engine: Engine, syncs: Sequence[str] = (), *, limit: int = LISTED) -> dict[str, Any]:
    """The document of ``report --json`` for these syncs (all, if none is named). At most ``limit`` entries are in
    each list; the totals are exact."""
    names = list(dict.fromkeys(syncs)) or list(engine.bound.policies)
    return {"syncs": {name: _Auditor(engine, name, limit).audit().to_json() for name in names}}


class _Auditor:
    """Goes through one sync's records by address, in batches."""

    def __init__(self, engine: Engine, sync: str, limit: int) -> None:
        self._engine = engine
        self._policy = engine.bound.policies[sync]
        self._rules = permissions(engine)
        self._found = Standings(mailed=Listed(limit), blocked=Listed(limit), mismatched=Listed(limit))

    def audit(self) -> Standings:
        with self._engine.store.reading() as unit:
            sources = {}
            for binding in self._engine.bound.sources_of(self._policy.name):
                source = unit.sources.find(binding.system, binding.collection)
                if source is not None:
                    sources[source.id] = binding
            keys = unit.records.primary_points(list(sources), limit=BATCH)
            while keys:
                self._look_at(unit, keys)
                keys = unit.records.primary_points(list(sources), after=keys[-1], limit=BATCH)
            for source_id, binding in sources.items():
                self._count_unaddressed(unit, source_id, binding)
        return self._found

    def _count_unaddressed(self, unit: Unit, source_id: int, binding: SourceBinding) -> None:
        keys = unit.records.without_points(source_id)
        while keys:
            for observed in unit.records.load(keys):
                seen = seen_of(observed, binding)
                self._found.counts[NO_ADDRESS, seen.system, _shows(seen, self._policy)] += 1
            keys = unit.records.without_points(source_id, after=keys[-1])

    def _look_at(self, unit: Unit, keys: Sequence[int]) -> None:
        around = load_around(unit, self._engine, self._policy, keys, run="")
        batch = _Batch(unit, look(keys, around, self._policy), self._policy, self._rules)
        for key in keys:
            point = around.points[key]
            wish = point.standing(self._policy.scope, self._policy).wish
            for seen in around.by_primary.get(key, ()):
                if not seen.is_gone:
                    self._found.counts[wish.value, seen.system, _shows(seen, self._policy)] += 1
            for make in batch.mailed(key):
                self._found.mailed.add(make)
            for make in batch.blocked(key):
                self._found.blocked.add(make)
        for each in batch.mismatches:
            self._found.mismatched.add(partial(batch.mismatch, each))


class _Batch:
    """The entries about some points, with what the state knows about why things stand as they do."""

    def __init__(self, unit: Unit, seen_twice: Look, policy: SyncPolicy, rules: Permissions) -> None:
        self.look = seen_twice
        self.mismatches = tuple(mismatches(seen_twice))
        self._policy = policy
        self._rules = rules
        self._unread = rules.unread(unit, policy.scope)
        self._plans = {c.fingerprint: c.plan for c in unit.plans.held_at(policy.name, seen_twice.keys)}
        self._waiting = frozenset(unit.points.still_waiting(policy.name, seen_twice.keys))
        self._unsent = unit.changes.ready_at(policy.name, seen_twice.keys)
        self._issues: dict[int, list[Issue]] = {}
        for issue in unit.issues.standing_at(seen_twice.keys):
            if issue.point_id is not None:
                self._issues.setdefault(issue.point_id, []).append(issue)

    # mailed without basis

    def mailed(self, key: int) -> Iterator[Callable[[], dict[str, Any]]]:
        """Members who would be mailed today although the answer is no."""
        members = [s for s in self._members(key) if shown(s.record, self._policy.esp).status is Status.IN]
        if not members:
            return
        point = self.look.around.points[key]
        verdict = self._verdict(point)
        if not verdict.permission.may_send:
            for member in members:
                yield partial(self._mailed_entry, point, member, verdict)

    def _verdict(self, point: Point) -> Verdict:
        """As ``may-send`` answers."""
        now = self.look.around.now
        return self._rules.verdict(point.statements, self._policy.scope, now=now, unread=self._unread)

    def _mailed_entry(self, point: Point, member: Seen, verdict: Verdict) -> dict[str, Any]:
        reason = verdict.permission.reason
        why = next((self._why(m)[0] for m in self._of_status(member)), None)
        decided = verdict.standing.decided_by
        since = [t for t in (member.record.status_at, decided.at if decided else None) if t is not None]
        return self._entry(
            point,
            verdict.standing.wish,
            member,
            reason=f"{reason}; {why}" if why else reason,
            since=max(since, default=None),
        )

    def _of_status(self, seen: Seen) -> list[Mismatch]:
        return [m for m in self.mismatches if m.seen.key == seen.key and m.about is About.STATUS]

    # blocked although allowed

    def blocked(self, key: int) -> Iterator[Callable[[], dict[str, Any]]]:
        """People of the list who may be mailed and whom no member record shows as subscribed."""
        point = self.look.around.points[key]
        pair = couple(point, self.look.around, self._policy)
        members = self._members(key)
        if not any(is_in_list(holder, self._policy) for holder in pair.holders):
            return
        if any(shown(m.record, self._policy.esp).status is Status.IN for m in members):
            return
        verdict = self._verdict(point)
        if verdict.permission.may_send:
            member, owner = (members[0] if members else None), pair.owner
            yield partial(self._blocked_entry, point, member, owner, verdict)

    def _blocked_entry(self, point: Point, member: Seen | None, owner: Seen | None, verdict: Verdict) -> dict[str, Any]:
        reason, since = self._why_blocked(point, member, owner)
        decided = verdict.standing.decided_by
        return self._entry(
            point, verdict.standing.wish, member, reason=reason, since=since or (decided.at if decided else None)
        )

    def _why_blocked(self, point: Point, member: Seen | None, owner: Seen | None) -> tuple[str, datetime | None]:
        intents = [i for i in self.look.wanted.intents if i.point == point.key and i.system == self._policy.esp_system]
        plan = next((self._plans[i.fingerprint] for i in intents if i.fingerprint in self._plans), None)
        if plan is not None:
            return f"held: plan {plan}", None
        refusal = self._issue(point.key, self._policy.esp_system, kinds=_IN_THE_WAY)
        if refusal is not None:
            return _of_issue(refusal), refusal.last_at
        if point.key in self._waiting:
            return "waiting: the next cycle looks at it", None
        if member is not None:
            return _SYSTEM_SAYS.get(shown(member.record, self._policy.esp).status, "not subscribed there"), None
        skipped = self.look.decided.skipped.get(owner.key) if owner else None
        return f"skipped: {skipped}" if skipped else "planned: the next cycle adds it", None

    # mismatches

    def mismatch(self, found: Mismatch) -> dict[str, Any]:
        """The entry of one disagreement; a field's or topic's value is masked."""
        point = self.look.around.points[found.point]
        why, since = self._why(found)
        standing = point.standing(self._policy.scope, self._policy)
        if since is None and standing.decided_by is not None and found.about is About.STATUS:
            since = standing.decided_by.at
        entry = self._entry(point, standing.wish, found.seen, reason=why, since=since)
        if found.about is not About.STATUS:
            entry["shows"] = found.shows if found.about is About.TOPIC else mask(found.shows)
        return {**entry, "about": found.about, "field": found.field}

    def _why(self, found: Mismatch) -> tuple[str, datetime | None]:
        """Why it stands, and since when if the state knows."""
        if found.fingerprint in self._plans:
            return f"held: plan {self._plans[found.fingerprint]}", None
        issue = self._issue_of(found)
        if issue is not None:
            return _of_issue(issue), issue.opened_at
        if found.cause is Cause.PLANNED:
            is_waiting = found.point in self._waiting
            if found.point in self._unsent and not is_waiting:
                return "waiting: it is written as soon as the system takes it", None
            return "waiting: the next cycle writes it" if is_waiting else "planned: the next cycle writes it", None
        return self._words(found), None

    def _words(self, found: Mismatch) -> str:
        way = "crm_to_esp" if found.seen.side is Side.ESP else "esp_to_crm"
        return {
            Cause.REFUSED: "refused: and not tried again",
            Cause.STAYS: f"opt_out.{way}: false",
            Cause.DISPUTED: "elsewhere: another sync of the topic holds it, or it was rejected there",
            Cause.FROZEN: "frozen: the value kept bouncing",
            Cause.REVIEW: "review: a person must make both equal, or dismiss the issue",
            Cause.DIRECTION: "direction: the field goes one way",
            Cause.BLANK: "blank: a blank value overwrites nothing",
            Cause.ACCEPTED: "accepted: the difference stays until one side changes",
            Cause.CONFIRMATION: "confirmation: the platform takes this opt-in only from the person",
            Cause.UNDECIDED: "undecided: nobody's word decides",
        }.get(found.cause, found.cause.value)

    def _issue_of(self, found: Mismatch) -> Issue | None:
        if found.cause in {Cause.STAYS, Cause.DISPUTED, Cause.DIRECTION, Cause.BLANK}:
            return None
        if found.about is About.FIELD:
            rule = next((r for r in self._policy.fields if found.field in {r.crm, r.esp}), None)
            names = (rule.crm, rule.esp) if rule else (found.field,)
            kinds = ("quarantined_field", "field_not_kept", "field_conflict", "oscillation", "refused", "put_off")
            of_field = [i for i in self._issues.get(found.point, ()) if i.kind in kinds and i.field in (*names, None)]
            return next(iter(of_field), None)
        return self._issue(found.point, found.seen.system, kinds=("refused", "put_off", "quarantined_field"))

    def _issue(self, point: int, system: str, *, kinds: Sequence[str]) -> Issue | None:
        return next((i for i in self._issues.get(point, ()) if i.system == system and i.kind in kinds), None)

    # entries

    def _members(self, key: int) -> list[Seen]:
        here = self.look.around.by_primary.get(key, ())
        return [s for s in here if s.side is Side.ESP and not s.is_gone]

    def _entry(
        self, point: Point, wish: Wish, seen: Seen | None, *, reason: str, since: datetime | None
    ) -> dict[str, Any]:
        return {
            "email": point.address or NAME,
            "scope": self._policy.scope,
            "system": seen.system if seen else self._policy.esp_system,
            "record": seen.record.id if seen else None,
            "shows": _shows(seen, self._policy) if seen else Status.ABSENT.value,
            "standing": wish.value,
            "reason": reason,
            "since": since.isoformat() if since else None,
        }


def _shows(seen: Seen, policy: SyncPolicy) -> str:
    return shown(seen.record, policy.crm if seen.side is Side.CRM else policy.esp).status.value


def _of_issue(issue: Issue) -> str:
    return f"{issue.kind}: {issue.message} (issue {issue.id})"
