"""The least number of calls: for any program at all, and for one that keeps to the rules of this house.

Bitrix24 REST documentation: 50 rows a list command, 50 commands a batch call. Mailchimp Marketing API reference: 1,000
members a page, archived ones only where they are asked for by themselves, 500 members a call of "batch subscribe or
unsubscribe". No use is made of what answers later than the call (Mailchimp's ``/batches``: queued, in no certain order,
no documented size; its account exports) or makes records past the portal's automation (Bitrix24's
``crm.item.batchImport``, 20 a command).

**For any program** (:func:`reads`, :func:`writes`) reading ``n`` records takes ``ceil(n / page)`` calls and at least
one, plus one for each listing beside the main one, and writing takes ``ceil(records / batch)``: everything about a
record fits into one command or item, new records included. Nothing is read twice, and what was written is not read.

**What the rules need** (:func:`needed`) comes to more:

* what restricts travels alone, fields travel apart from wishes, and where one body has room for one kind only (an
  e-mail platform's bulk call) each kind is a call of its own;
* an update that answers "done" and no more is read back, which takes a command of its batch;
* what permits something is preceded by a look at the records: for each kind where each is a call of its own, and as old
  as a few writing calls at most;
* an address is looked for before a record is made of it, and ids that the answer leaves out are asked for;
* complaints, and what became of mails, are listed apart from the members;
* fields and groups are described once;
* both sides are asked for news after each minute of writing, so that no opt-out waits for longer, and before a further
  cycle writes; the news then show what was written before, since no vendor leaves that out, and of whoever is shown a
  platform lists complaints apart. A further cycle that has nothing to write is not needed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from math import ceil

from optsync.model.change import ChangeKind
from optsync.model.record import Side
from optsync.state.changes import Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """``page`` records a reading call, ``listings`` that must be asked for, ``batch`` records a writing call;
    ``joins``: whether updates of different kinds share a call."""

    page: int
    listings: int
    batch: int
    joins: bool


DOCUMENTED = {
    Side.CRM: Sizes(page=50 * 50, listings=1, batch=50, joins=True),
    Side.ESP: Sizes(page=1000, listings=2, batch=500, joins=False),
}
_READ_BACK = {Side.CRM: 1, Side.ESP: 0}
_CALLS_A_LOOK = 5
"""Writing calls that one look may precede."""
_LOOK = {Side.CRM: 1, Side.ESP: 3}
"""Calls of one; an e-mail platform lists who changed, who was archived and who complained."""
_DESCRIBING = {Side.CRM: 0, Side.ESP: 3}
"""A CRM's fields come along with the first page; a platform's fields, groups' categories and groups do not."""
_PERMITTING = {ChangeKind.TOPIC, ChangeKind.OPT_IN, ChangeKind.REQUEST, ChangeKind.GRANT}
_ONE_BY_ONE = {ChangeKind.REQUEST, ChangeKind.RENAME, ChangeKind.ARCHIVE}
"""What an e-mail platform has no bulk call for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """Calls of a cycle that keeps to the rules, by what they are for. ``listings``: besides those of the records;
    ``listening``: for news after a minute of writing and before a further cycle, ``echoes``: the pages of these that
    show what was just written."""

    reads: int
    writes: int
    looks: int
    listings: int
    describing: int
    listening: int
    echoes: int

    @property
    def calls(self) -> int:
        return sum(astuple(self))


def reads(side: Side, seen: int) -> int:
    """Calls that read ``seen`` records."""
    sizes = DOCUMENTED[side]
    return max(1, ceil(seen / sizes.page)) + sizes.listings - 1


def writes(side: Side, changes: Iterable[Change]) -> int:
    """Calls that carry these changes of one side, for any program."""
    return ceil(records(changes) / DOCUMENTED[side].batch)


def needed(
    side: Side,
    seen: int,
    changes: Sequence[Change],
    *,
    is_first: bool = False,
    is_full: bool = False,
    is_further: bool = False,
    minutes: int = 0,
) -> Needed:
    """``is_first``: nothing is known yet of fields. ``is_full``: the cycle also hears what became of the mails.
    ``is_further``: it writes what an earlier one has left, and nobody else changed anything. ``minutes``: how long it
    writes."""
    complaints = int(side is Side.ESP and seen > 0)
    news = reads(side, 0)
    news_of_own = news + int(side is Side.ESP and bool(changes))
    return Needed(
        reads=0 if is_further else reads(side, seen),
        writes=_writes(side, changes),
        looks=_looks(side, changes),
        listings=complaints + int(side is Side.ESP and is_full),
        describing=_DESCRIBING[side] if is_first else 0,
        listening=minutes * news_of_own + (news if is_further else 0),
        echoes=reads(side, seen) - news if is_further else 0,
    )


def _writes(side: Side, changes: Iterable[Change]) -> int:
    batch = DOCUMENTED[side].batch - _READ_BACK[side]
    roads: dict[str, list[Change]] = {}
    for change in changes:
        roads.setdefault(_road(side, change), []).append(change)
    alone = sum(len(roads.pop(str(kind), ())) for kind in _ONE_BY_ONE) if side is Side.ESP else 0
    return alone + sum(ceil(records(road) / batch) for road in roads.values())


def _road(side: Side, change: Change) -> str:
    """What shares calls."""
    restricts = bool(change.write["is_restrictive"])
    if DOCUMENTED[side].joins and change.kind is not ChangeKind.CREATE:
        return "restricts" if restricts else "permits" if change.kind in _PERMITTING else "plain"
    kind = ChangeKind.FIELD if change.kind in {ChangeKind.BOUNCE, ChangeKind.GRANT} else change.kind
    return f"{kind} off" if kind is ChangeKind.TOPIC and restricts else str(kind)


def _looks(side: Side, changes: Sequence[Change]) -> int:
    batch = DOCUMENTED[side].batch - _READ_BACK[side]
    permitting: dict[str, list[Change]] = {}
    for change in changes:
        if change.kind in _PERMITTING - {ChangeKind.GRANT} and not change.write["is_restrictive"]:
            permitting.setdefault(_road(side, change), []).append(change)
    looks = sum(
        min(records(road), _LOOK[side] * ceil(records(road) / (_CALLS_A_LOOK * batch))) for road in permitting.values()
    )
    return looks + _around_creates(side, sum(change.kind is ChangeKind.CREATE for change in changes))


def _around_creates(side: Side, count: int) -> int:
    """A CRM is asked for the address and for our own mark of each, and shows all of them afterwards; a platform lists
    who is archived before, and ids after each call."""
    if side is Side.CRM:
        return ceil(count / 25) + ceil(count / DOCUMENTED[side].page)
    return 2 * ceil(count / DOCUMENTED[side].batch)


def records(changes: Iterable[Change]) -> int:
    """How many there are, new ones included."""
    return len({change.id if change.record_id is None else f"of {change.record_id}" for change in changes})
