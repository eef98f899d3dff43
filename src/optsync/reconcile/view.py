"""What the reconciler looks at: records, points and what is remembered of them; and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b

from optsync.model.change import ChangeKind, GrantEvidence, WriteKind
from optsync.model.contact_point import InvalidAddress, normalise, sendable
from optsync.model.link import Agreed, Link
from optsync.model.quick import quick_dataclass
from optsync.model.record import Record, Side, Status, Value
from optsync.model.statement import Statement
from optsync.reconcile.consent import (
    Deliverability,
    Standing,
    deliverability_of,
    effective,
    standing_of,
    without_wider_outs,
)
from optsync.reconcile.policy import SyncPolicy
from optsync.reconcile.rules import Rule


@quick_dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A record as last observed. ``points`` are the keys of its addresses, the primary first; unusable
    addresses are left out. ``is_gone``: believed deleted, or off the roster."""

    key: int
    system: str
    collection: str
    side: Side
    record: Record
    points: tuple[int, ...]
    is_gone: bool = False

    @property
    def primary(self) -> int | None:
        return self.points[0] if self.points else None


@quick_dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A contact point with everything that was said about it. ``is_forgotten``: its address was erased, and it gets
    nothing but outs."""

    key: int
    address: str
    statements: tuple[Statement, ...] = ()
    active_at: datetime | None = None
    """The newest sign of life, where it is asked for and known."""
    is_forgotten: bool = False
    said: tuple[Statement, ...] = field(init=False, repr=False, compare=False)
    """What of the statements counts, oldest first."""
    _found: dict[tuple[str, timedelta, str], Standing] = field(
        init=False, default_factory=dict, repr=False, compare=False
    )
    """Standings that were asked for already: each is asked for many times while a point is looked at."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "said", effective(self.statements))

    def standing(self, scope: str, policy: SyncPolicy) -> Standing:
        """A no to more than a list of transactional mail does not count for it; what it has heard itself does, so
        that nobody is written over there."""
        needs_own_grant, is_owed = policy.needs_own_grant(scope), policy.is_transactional
        key = (scope, policy.clock_tolerance, "own grant" if needs_own_grant else "owed" if is_owed else "")
        found = self._found.get(key)
        if found is None:
            said = without_wider_outs(self.said, scope) if is_owed else self.said
            found = self._found[key] = standing_of(
                said, scope, tolerance=policy.clock_tolerance, needs_own_grant=needs_own_grant
            )
        return found

    def topic_standing(self, scope: str, policy: SyncPolicy) -> Standing:
        """The topic's own: what was said about exactly this scope. A wish above it shows in the status."""
        key = (scope, policy.clock_tolerance, "topic")
        found = self._found.get(key)
        if found is None:
            said = [s for s in self.said if s.scope == scope or s.target]
            found = self._found[key] = standing_of(said, scope, tolerance=policy.clock_tolerance)
        return found

    def mailbox(self, now: datetime, policy: SyncPolicy) -> Deliverability:
        return deliverability_of(self.said, now=now, soft_limit=policy.soft_limit, soft_within=policy.soft_within)


def is_in_list(seen: Seen, policy: SyncPolicy) -> bool:
    """Whether a CRM record belongs to the list scope."""
    return not policy.has_list_scope or policy.name in seen.record.lists


def spelled(point: Point, seen: Seen) -> str:
    """The point as the record spells it, without what does not belong to an address."""
    for raw in seen.record.addresses:
        try:
            if normalise(raw) == point.address:
                return sendable(raw)
        except InvalidAddress:
            continue
    return point.address


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A write about a wish that has arrived at a record: the status (``is_topics`` false) or topics."""

    is_topics: bool
    is_restrictive: bool
    before: Mapping[str, Value]
    after: Mapping[str, Value]
    causes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fellows:
    """What other syncs of the same audience have to do with its members. ``held``: points of CRM records that only they
    read; ``listed``: the first ones of such that belong to the list there; ``also_listed``: records of this sync that
    belong to the list of another; ``archived`` and ``tagged``: members to which another has done that when they left
    its list."""

    held: frozenset[int] = frozenset()
    listed: frozenset[int] = frozenset()
    also_listed: frozenset[int] = frozenset()
    archived: frozenset[int] = frozenset()
    tagged: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """The records around some points, loaded together. ``ticked``: topics that some record of a side has
    switched on; on the others an unticked box is no value. ``blocked``: fingerprints of writes that a vendor
    refused for good and nobody cleared. ``refused``: (system, collection, record id) of those that came to show "in"
    in this run without a right to. ``put_back``: fingerprints of what was put back once, which is not done again."""

    now: datetime
    points: Mapping[int, Point]
    crm: tuple[Seen, ...]
    esp: tuple[Seen, ...]
    links: Mapping[tuple[int, int], Link]
    ticked: frozenset[tuple[Side, str]] = frozenset()
    blocked: frozenset[str] = frozenset()
    refused: frozenset[tuple[str, str, str]] = frozenset()
    mailed_at: datetime | None = None
    """When the audience was last mailed; None too while it is not known who gives signs of life."""
    put_back: frozenset[str] = frozenset()
    written: Mapping[int, Sequence[Written]] = field(default_factory=dict)
    """By record, the newest first: what was written about wishes, where something was retracted."""
    engaged: frozenset[int] = frozenset()
    """Records whose linked counterpart shows another address: what happens to them is decided there."""
    removed: Mapping[int, Seen] = field(default_factory=dict)
    """By CRM record: a member at a former address whom people took away."""
    left_by_self: Mapping[int, datetime] = field(default_factory=dict)
    """When the ESP last refused an opt-in of a point, because the person had left there by themself."""
    refused_for_good: frozenset[int] = frozenset()
    """Points of which the ESP takes neither opt-ins nor values: forgotten there, banned, no usable address."""
    first_seen: Mapping[int, datetime] = field(default_factory=dict)
    """When records were seen for the first time, where one of a contact point does not belong to the list."""
    newly_mapped: frozenset[str] = frozenset()
    """Topics whose boxes are seen for the first time, whoever was joined before."""
    late: frozenset[tuple[int, str]] = frozenset()
    """Points and topics of which that is so, since one of the boxes could not be read when the topic was mapped."""
    disputed: frozenset[str] = frozenset()
    """Causes of changes of topics for which another sync waits, or which a person rejected there."""
    members_elsewhere: frozenset[int] = frozenset()
    """Points of members of other audiences for which the same flags stand."""
    fellows: Fellows = Fellows()
    by_primary: Mapping[int, Sequence[Seen]] = field(init=False, repr=False, compare=False)
    """The records of both sides by their primary point."""
    by_member: Mapping[int, Sequence[Link]] = field(init=False, repr=False, compare=False)
    """The links by their member."""
    may_put_back: bool = field(init=False, repr=False, compare=False)
    """False where nothing was retracted."""

    def __post_init__(self) -> None:
        found: dict[int, list[Seen]] = {}
        for seen in (*self.crm, *self.esp):
            if seen.points:
                found.setdefault(seen.points[0], []).append(seen)
        object.__setattr__(self, "by_primary", found)
        members: dict[int, list[Link]] = {}
        for link in self.links.values():
            members.setdefault(link.esp, []).append(link)
        object.__setattr__(self, "by_member", members)
        is_void = any(len(point.said) != len(point.statements) for point in self.points.values())
        object.__setattr__(self, "may_put_back", is_void)

    def is_blocked(self, intent: "Intent") -> bool:
        """Whether the write was refused for good, and nobody cleared that."""
        return bool(self.blocked) and intent.fingerprint in self.blocked


@quick_dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One change that should be made: to one record, about one thing."""

    kind: ChangeKind
    write: WriteKind
    system: str
    collection: str
    record: int | None
    """Key of the record, None for a create."""
    point: int
    rule: Rule
    before: Mapping[str, Value] = field(default_factory=dict)
    after: Mapping[str, Value] = field(default_factory=dict)
    causes: tuple[str, ...] = ()
    is_restrictive: bool = False
    status: Status | None = None
    topics: Mapping[str, bool] = field(default_factory=dict)
    fields: Mapping[str, Value] = field(default_factory=dict)
    tags: Mapping[str, bool] = field(default_factory=dict)
    address: str | None = None
    evidence: GrantEvidence | None = None
    agreed: Mapping[str, Agreed] = field(default_factory=dict)
    """What both sides agree on once it is applied, by field rule."""
    left: bool | None = None
    """What is remembered of the member's place on the list once it is applied."""
    inactive: bool | None = None
    """What is remembered of the member's inactivity once it is applied."""
    counterpart: int | None = None
    """The record on the other side of the link that ``agreed`` belongs to."""

    @property
    def fingerprint(self) -> str:
        """Names the same wish for the same record again: what was refused is not tried twice."""
        subject = self.record if self.record is not None else f"point {self.point}"
        values = "" if self.kind is not ChangeKind.FIELD else repr(sorted(self.fields.items(), key=lambda f: f[0]))
        if self.kind is ChangeKind.RENAME:
            values = str(self.address)
        if self.kind is ChangeKind.ARCHIVE:
            # Nobody's word causes it, so that only the reason and the way tell one from another.
            values = f"{self.rule} tag" if self.write is WriteKind.TAG else str(self.rule)
        wish = f"{self.system}|{self.collection}|{subject}|{self.kind}|{','.join(self.causes)}|{values}"
        return blake2b(wish.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Something that a person must decide. ``system`` is the record's, the CRM if None; the same question ``about``
    something else is another one."""

    kind: str
    record: int
    point: int
    field: str | None
    message: str
    values: Mapping[str, Value]
    system: str | None = None
    about: str | None = None


@quick_dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """``settled`` are links whose agreement is remembered as it is, without a write; ``skipped`` says why a
    record gets nothing."""

    intents: tuple[Intent, ...] = ()
    settled: tuple[Link, ...] = ()
    questions: tuple[Question, ...] = ()
    skipped: Mapping[int, str] = field(default_factory=dict)
    dropped: frozenset[tuple[int, int]] = frozenset()
    """Links, by (CRM record, member), of two who are not one person any more."""
