"""An audience and its contacts: identity, indexes, history. No rule about what may change."""

import hashlib
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from optsync_mailchimp.mocking.envelope import Json
from optsync_mailchimp.mocking.merge_fields import MergeField

_AFTER_ALL_IDS = "\uffff"
STATUSES = ("subscribed", "unsubscribed", "cleaned", "pending", "transactional", "archived")


def member_hash(address: str) -> str:
    """The member id: MD5 of the lower-cased address."""
    return hashlib.md5(address.lower().encode(), usedforsecurity=False).hexdigest()


def unique_email_id(address: str) -> str:
    """Ten hexadecimal digits that stand for the address in every audience."""
    return hashlib.sha256(address.lower().encode()).hexdigest()[:10]


@dataclass(slots=True, kw_only=True)
class Member:
    """A contact of one audience. Times are Unix seconds. What the API never shows is marked hidden."""

    contact_id: str
    web_id: int
    email: str
    id: str
    status: str
    last_changed: int
    email_type: str = "html"
    merge_fields: dict[str, Any] = field(default_factory=dict)
    interests: frozenset[str] = frozenset()
    language: str = ""
    vip: bool = False
    ip_signup: str = ""
    ip_opt: str = ""
    timestamp_signup: int | None = None
    timestamp_opt: int | None = None
    location: tuple[float, float] = (0, 0)
    source: str = "API - Generic"
    permissions: frozenset[str] = frozenset()
    tags: dict[int, int] = field(default_factory=dict)
    """Tag id -> when it was added."""
    unsubscribe_reason: str = ""
    unsubscribed_at: int | None = None
    origin: str = ""
    """Hidden: who opted out: self, adm, abuse."""
    in_compliance: bool = False
    """Hidden: opted out by the contact or bounced, and not signed up again since."""
    pre_archive_status: str = ""
    """Hidden."""

    def content(self) -> tuple[object, ...]:
        """Everything whose change moves ``last_changed``."""
        return (
            *(self.email, self.status, self.email_type, dict(self.merge_fields), self.interests, self.language),
            *(self.vip, self.ip_signup, self.ip_opt, self.timestamp_signup, self.timestamp_opt, self.location),
            *(self.permissions, frozenset(self.tags), self.unsubscribe_reason),
        )


class ChangeIndex:
    """Contact ids in the order of (last change, id), per status and for all that are not archived.

    Equal seconds keep a stable order that has nothing to do with addresses.
    """

    LIVE = "live"

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[int, str]]] = {name: [] for name in (*STATUSES, self.LIVE)}

    def _lists(self, member: Member) -> Iterator[list[tuple[int, str]]]:
        yield self._rows[member.status]
        if member.status != "archived":
            yield self._rows[self.LIVE]

    def add(self, member: Member) -> None:
        for rows in self._lists(member):
            insort(rows, (member.last_changed, member.contact_id))

    def remove(self, member: Member) -> None:
        key = (member.last_changed, member.contact_id)
        for rows in self._lists(member):
            del rows[bisect_left(rows, key)]

    def load(self, members: list[Member]) -> None:
        """Adds many at once."""
        for member in members:
            for rows in self._lists(member):
                rows.append((member.last_changed, member.contact_id))
        for rows in self._rows.values():
            rows.sort()

    def window(self, name: str, since: float, before: float) -> tuple[list[tuple[int, str]], int, int]:
        """The rows of a list and the bounds of those with since < last change <= before."""
        rows = self._rows[name]
        low = bisect_right(rows, (since, _AFTER_ALL_IDS))
        return rows, low, max(low, bisect_right(rows, (before, _AFTER_ALL_IDS)))

    def size(self, name: str) -> int:
        return len(self._rows[name])


@dataclass(slots=True, kw_only=True)
class Interest:
    id: str
    category_id: str
    name: str
    order: int


@dataclass(slots=True, kw_only=True)
class Category:
    id: str
    title: str
    type: str
    order: int
    interests: dict[str, Interest] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Tag:
    """A tag, which is a static segment with the same id."""

    id: int
    name: str
    created_at: int
    updated_at: int
    holders: set[str] = field(default_factory=set)


@dataclass(slots=True, kw_only=True)
class Campaign:
    """A mailing, from draft to report. Times are Unix seconds."""

    id: str
    web_id: int
    list_id: str
    title: str
    subject: str
    created_at: int
    type: str = "regular"
    status: str = "save"
    html: str = ""
    plain_text: str = ""
    send_time: int | None = None
    recipients: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Contact id -> member hash and address when it was sent."""
    activity: dict[str, list[Json]] = field(default_factory=dict)
    """Contact id -> opens, clicks and bounces, oldest first."""


@dataclass(slots=True, kw_only=True)
class Template:
    """``sections`` are the parts that can be edited, by name; the API shows nothing else of a template."""

    id: int
    name: str
    created_at: int
    sections: dict[str, str]
    type: str = "user"
    is_active: bool = True


class Audience:
    """One list with its contacts (by contact id), fields, groups, tags and what was said about each contact."""

    def __init__(self, audience_id: str, name: str, web_id: int, created_at: int) -> None:
        self.id = audience_id
        self.name = name
        self.web_id = web_id
        self.created_at = created_at
        self.members: dict[str, Member] = {}
        self.index = ChangeIndex()
        self.forgotten: set[str] = set()
        """Hashes of addresses that were deleted for good."""
        self.merge_fields: dict[int, MergeField] = {}
        self.categories: dict[str, Category] = {}
        self.kept_interests: set[str] = set()
        """Those that writes do not take off, as where one of a category is chosen always."""
        self.permissions: dict[str, str] = {}
        """Marketing permission id -> text."""
        self.tags: dict[int, Tag] = {}
        self.feed: dict[str, list[Json]] = {}
        """Contact id -> items of the activity feed, oldest first."""
        self.activity: dict[str, list[Json]] = {}
        self.notes: dict[str, list[Json]] = {}
        self.events: dict[str, list[Json]] = {}
        self.abuse_reports: list[Json] = []
        self.confirmations: list[str] = []
        """Addresses that were sent a confirmation mail, in order."""
        self._by_hash: dict[str, str] = {}

    def find(self, key: str) -> Member | None:
        """By contact id, by member hash, or by address."""
        contact_id = key if key in self.members else self._by_hash.get(member_hash(key) if "@" in key else key)
        return None if contact_id is None else self.members[contact_id]

    def add(self, member: Member) -> None:
        self._register(member)
        self.index.add(member)

    def load(self, members: list[Member]) -> None:
        """Adds many at once."""
        for member in members:
            self._register(member)
        self.index.load(members)

    def _register(self, member: Member) -> None:
        self.members[member.contact_id] = member
        self._by_hash[member.id] = member.contact_id

    @contextmanager
    def edit(self, member: Member, now: int, *, always: bool = False) -> Iterator[Member]:
        """Changes inside move ``last_changed`` to ``now``; without a difference it stays (unless ``always``)."""
        before = member.content()
        self.index.remove(member)
        try:
            yield member
        finally:
            if always or member.content() != before:
                member.last_changed = now
            self.index.add(member)

    def rename(self, member: Member, address: str) -> None:
        """Inside :meth:`edit`: a new hash, the same contact."""
        del self._by_hash[member.id]
        member.email = address
        member.id = member_hash(address)
        self._by_hash[member.id] = member.contact_id

    def forget(self, member: Member) -> None:
        """Erases the contact and blocks its address."""
        self.discard(member)
        self.forgotten.add(member.id)

    def discard(self, member: Member) -> None:
        """Erases the contact."""
        self.index.remove(member)
        del self.members[member.contact_id], self._by_hash[member.id]
        for tag_id in member.tags:
            self.tags[tag_id].holders.discard(member.contact_id)
        for kept in (self.feed, self.activity, self.notes, self.events):
            kept.pop(member.contact_id, None)

    def interests(self) -> dict[str, Interest]:
        return {key: item for category in self.categories.values() for key, item in category.interests.items()}

    def field_by_tag(self) -> dict[str, MergeField]:
        return {item.tag: item for item in self.merge_fields.values()}
