"""The connector contract: few required verbs, the rest one-method protocols.

A connector translates between a vendor's API and the neutral values of :mod:`optsync.model`. It holds no
policy: it never decides who may be mailed, which value wins or whether a write is wise.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar, Protocol, TypeGuard, TypeVar, runtime_checkable

from requests.adapters import BaseAdapter

from optsync.clock import Clock
from optsync.connect.settings import CrmSide, EspSide, SystemSettings
from optsync.model.change import Fact, Outcome, Write
from optsync.model.mailing import Mailing
from optsync.model.page import Page, ReadSpec
from optsync.model.record import Origin, Record, Side, Status
from optsync.model.sign import SignPage


class Absence(StrEnum):
    """What it means that a record is no longer in a complete read."""

    DELETED = "deleted"
    """The record was deleted; no wish."""
    LEFT = "left"
    """A roster: the person left the list."""


class OptInStamp(StrEnum):
    """What ``Record.opted_in_at`` is worth."""

    NONE = "none"
    NOMINATES = "nominates"
    """An API write can set it: what would lift an out needs confirmation by the person's activity."""
    EVIDENCE = "evidence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Facts that code cannot show."""

    sides: frozenset[Side]
    statuses: frozenset[Status] = frozenset()
    """Those a STATUS write may set; empty where flags are ordinary fields."""
    absence: Absence = Absence.DELETED
    has_delta: bool = True
    """Without one the last page may have a cursor all the same: a mark by which an unchanged collection is known."""
    delta_misses: tuple[str, ...] = ()
    """Sentences: what a delta does not show and only the full compare heals."""
    read_page: int
    """Records per reading call at best."""
    reread_batch: int = 1
    """Records per call of ``read_ids`` at best: what a re-read before a permissive write costs."""
    delta_calls: int = 20
    """Calls of a delta that shows little. A re-read that costs more than that is done by a delta."""
    write_batch: int
    """Writes per writing call at best; ``write`` accepts any number."""
    joins_updates: bool = False
    """Whether updates of different kinds to one record, given in one call of ``write``, travel as one where none
    restricts. Each has its outcome all the same, and what is refused together is sent apart."""
    write_shows_state: bool
    """Whether outcomes carry the record as it is after the write."""
    opt_in_stamp: OptInStamp = OptInStamp.NONE
    can_ask: bool = False
    """Whether a STATUS write of PENDING sends a confirmation request."""
    takes_back_leavers: bool = False
    """Whether an opt-in by us brings back somebody who left by themself. Otherwise only their own confirmation does,
    and a STATUS write of IN is not even tried."""
    refuses: frozenset[Fact] = frozenset()
    """Facts about a person for which the system itself refuses an opt-in."""
    shows_words: bool = True
    """Whether a row carries the system's own word for the status. Without words (flags; a status that is found by
    searching for it) none can be unknown."""
    id_is_address: bool = False
    """Then a record that gets another address is another record."""
    pages_shift: bool = False
    """Whether rows can move between pages while a read goes on. Such a read may miss somebody, and says so."""
    speaks_http: bool = True
    """False for what is reached without a network: there are no requests to count and no limits to wait for."""
    entities: tuple[str, ...] = ()
    """A CRM's collections, first owner of fields first; empty where collections are audiences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a connector is given besides its settings. All I/O goes through these seams."""

    system: str
    """The system's name in the configuration, for messages."""
    clock: Clock
    rng: random.Random
    transport: BaseAdapter | None = None
    """Replaces the network (an in-process mock); None is the real one."""
    is_read_only: bool = False
    """Then the HTTP session refuses every request that is not a read; a connector without one does so itself."""
    before_write: Callable[[], None] = lambda: None
    """The HTTP session calls it right before each request that is not a read, a connector without one before each
    attempt to write; what it raises stops that and comes out."""


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something ``check`` found: what, where, and what to do about it."""

    severity: Severity
    message: str
    field: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The answer of ``check``. ``clock_offset`` is the vendor's clock minus ours, in seconds, None if unknown."""

    account_id: str
    account_name: str
    clock_offset: float | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldInfo:
    """A field that can be mapped. ``type`` is text, number, boolean, date, datetime, choice or choices."""

    name: str
    label: str
    type: str
    is_writable: bool = True
    is_required: bool = False
    is_clearable: bool = True
    """Whether a write of None leaves no value; otherwise it is refused as a value."""
    options: tuple[tuple[str, str], ...] = ()
    """Of a choice: (value, label)."""
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionInfo:
    """A CRM entity or an ESP audience. ``topics`` are the names that the configuration may use."""

    id: str
    name: str
    fields: tuple[FieldInfo, ...]
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUp:
    """A sign-up by the person, found in their activity."""

    at: datetime
    detail: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """An opt-out that the record does not show any more, found in its activity. ``origin`` is UNKNOWN where nobody
    knows; that counts as the person."""

    at: datetime
    origin: Origin = Origin.UNKNOWN
    reason: str | None = None
    detail: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Departures:
    """``told``, by record id: the newest opt-out, None where there is none. Who is not in it is asked about again, with
    the ``ticket`` if there is one: the system is working on it."""

    told: Mapping[str, Departure | None]
    ticket: str | None = None


@runtime_checkable
class Connector(Protocol):
    """One connected account. Constructing it does no I/O.

    Every verb may raise :class:`optsync.errors.SystemUnavailable` (after retries),
    :class:`optsync.errors.RateLimited` or :class:`optsync.errors.CredentialsRefused`.
    """

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    settings: ClassVar[type[SystemSettings]]
    crm_side: ClassVar[type[CrmSide] | None]
    esp_side: ClassVar[type[EspSide] | None]

    def __init__(self, settings: Any, context: Context) -> None: ...

    @property
    def calls(self) -> int:
        """HTTP requests sent so far, retries included."""

    @property
    def clock_offset(self) -> float | None:
        """The vendor's clock minus ours in seconds, from the newest answer; None before the first. While it is None, no
        opt-in of the system lifts an opt-out; where this machine's clock is the only one it is 0.0 after a read."""

    def check(self, specs: Sequence[ReadSpec]) -> Health:
        """Connects; reports the account, permissions and everything in ``specs`` that does not exist or does
        not fit (missing fields, wrong types, unknown filter keys or operators, unknown audiences and topics).

        Raises ``SystemUnavailable`` or ``CredentialsRefused`` only if nothing else can be said."""

    def describe(self) -> Sequence[CollectionInfo]:
        """What can be mapped."""

    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        """Pages of the collection, each with at most a few thousand records.

        ``cursor`` None reads everything; otherwise goes on where that cursor was given. A read shows every
        record that existed from its start to its end at least once (a record may appear twice). Rows that
        cannot be used are ``faults`` of their page. An unusable cursor starts a full read."""

    def read_ids(self, spec: ReadSpec, ids: Sequence[str]) -> Sequence[Record]:
        """Those records as they are now, from the vendor's own store and not from a search index. What is not
        there is left out. ``lists`` may be left empty where it costs a call of its own."""

    def write(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        """Carries out STATUS, TOPICS, FIELDS and CREATE writes in the vendor's fewest calls; one outcome per
        write, in order. All writes of a call are of the collection of ``spec``, which also says which fields
        and topics the outcomes' records show. Never raises for a single write. A CREATE never changes a record
        that exists (``REFUSED`` with ``EXISTS``); a FIELDS or TOPICS write never carries a status. When the
        system fails half-way the writes not sent are FAILED, those whose answer was lost UNKNOWN."""

    def close(self) -> None:
        """Gives the connections back."""


Power = TypeVar("Power")


def can(connector: Connector, power: Callable[..., Power]) -> TypeGuard[Power]:
    """Whether the connector has that power: one of the protocols below, which themselves would look through all their
    attributes each time that somebody asks."""
    return _has(type(connector), power)


@cache
def _has(kind: type, power: Any) -> bool:
    return issubclass(kind, power)


@runtime_checkable
class CanArchive(Protocol):
    def archive(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        """Takes records off the list without deleting them."""


@runtime_checkable
class CanRename(Protocol):
    def rename(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        """Gives a record another address; its id may change (``Outcome.record_id``)."""


@runtime_checkable
class CanTag(Protocol):
    def tag(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        """Adds and removes tags."""


@runtime_checkable
class CanReadRows(Protocol):
    def read_rows(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        """As ``read``, but rows that may be as they were are left unmade (:class:`optsync.model.page.Unmade`), each
        with a digest (:class:`optsync.connect.digests.Digests`)."""


@runtime_checkable
class CanScanIds(Protocol):
    def scan_ids(self, collection: str) -> Iterator[Sequence[str]]:
        """All record ids, cheaply, for the detection of deletions."""


@runtime_checkable
class CanConfirmOptIn(Protocol):
    def confirm_opt_in(self, collection: str, record: str, since: datetime) -> SignUp | None:
        """A sign-up by the person newer than ``since`` in the record's activity, if there is one."""


@runtime_checkable
class CanTellDepartures(Protocol):
    def departures(self, collection: str, asked: Mapping[str, datetime | None], ticket: str | None) -> Departures:
        """The newest opt-out in the activity of each of these records, whatever they show now. ``asked``: by record
        id, since when one counts (that moment included; None: ever), by the vendor's clock.

        About a few it tells at once. Many it may have worked on elsewhere and give a ``ticket``, of at most 200
        characters, that another process can present as well; an unusable one asks anew. A record is left out of the
        answer where its activity cannot be read, never taken for one without an opt-out."""


@runtime_checkable
class CanReportActivity(Protocol):
    def activity(self, collection: str, cursor: str | None, since: datetime) -> Iterator[SignPage]:
        """What became of the mails to the collection after ``since`` (aware): bounces and signs of life, whenever the
        mail was sent, in pages of at most a few thousand signs.

        ``cursor`` None shows all of it; otherwise goes on where that cursor was given. A sign may be shown more than
        once and in any order; none is left out. An unusable cursor shows all of it again."""


@runtime_checkable
class CanForesee(Protocol):
    def seconds_for(self, collection: str, writes: int) -> float | None:
        """About how long so many ordinary writes to the collection take from now on, under the system's limits; None
        while that is not known. Asks nobody."""


@runtime_checkable
class CanListTemplates(Protocol):
    def templates(self) -> Iterator[Mailing]:
        """The account's own templates, and its mailings that were not sent yet, each with the tags that the vendor
        replaces by an unsubscribe link."""


@runtime_checkable
class CanForget(Protocol):
    def forget(self, collection: str, record: str) -> Outcome:
        """Deletes a person's record as completely as the system can; the outcome's key is the record's id."""
