"""The least number of calls that the vendors' documented page and batch sizes allow.

Bitrix24 REST documentation: 50 rows a list command, 50 commands a batch call. Mailchimp Marketing API reference: 1,000
members a page, archived ones only where they are asked for by themselves, 500 members a call of "batch subscribe or
unsubscribe".

Reading ``n`` records takes ``ceil(n / page)`` calls and at least one, plus one for each listing beside the main one;
``w`` writes take ``ceil(w / batch)``. Writes of different roads do not share a call where the vendor's bulk call
carries everything at once: a status never travels with a field. Nothing is added for describing fields, for list
scopes, for looking at a record again before a permissive write or for reading a write back: what those cost is in the
ratio.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from optsync.model.change import ChangeKind
from optsync.model.record import Side
from optsync.state.changes import Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """``page`` records a reading call, ``listings`` that must be asked for, ``batch`` writes a writing call;
    ``is_mixed``: of any kind together."""

    page: int
    listings: int
    batch: int
    is_mixed: bool


DOCUMENTED = {
    Side.CRM: Sizes(page=50 * 50, listings=1, batch=50, is_mixed=True),
    Side.ESP: Sizes(page=1000, listings=2, batch=500, is_mixed=False),
}


def reads(side: Side, seen: int) -> int:
    """Calls that read ``seen`` records."""
    sizes = DOCUMENTED[side]
    return max(1, ceil(seen / sizes.page)) + sizes.listings - 1


def writes(side: Side, changes: Iterable[Change]) -> int:
    """Calls that carry these changes of one side."""
    sizes = DOCUMENTED[side]
    roads = Counter("any" if sizes.is_mixed else _road(change.kind) for change in changes)
    return sum(ceil(count / sizes.batch) for count in roads.values())


def _road(kind: ChangeKind) -> str:
    return "field" if kind in {ChangeKind.BOUNCE, ChangeKind.GRANT} else str(kind)
