"""The least number of calls: what any program needs, and what the rules add to it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from benchmarks import calls
from benchmarks.least import needed, reads, writes

from optsync.model.change import ChangeKind, ChangeState
from optsync.model.record import Side
from optsync.state.changes import Change
from optsync.sync.report import SyncReport


def _changes(count: int, kind: ChangeKind, *, first: int = 0, off: bool = False, new: bool = False) -> list[Change]:
    """Of ``count`` records from ``first`` on."""
    numbers = range(first, first + count)
    return [_change(kind, n, record=None if new else n, write={"is_restrictive": off}) for n in numbers]


def _change(kind: ChangeKind, number: int, *, record: int | None, write: dict[str, Any]) -> Change:
    return Change(
        id=number,
        run="r",
        sync="s",
        system="crm",
        collection="contact",
        record_id=record,
        record=None,
        point_id=number,
        email=None,
        kind=kind,
        priority=0,
        rule="",
        before={},
        after={},
        causes=[],
        write=write,
        state=ChangeState.APPLIED,
        fingerprint="",
        planned_at=datetime(2026, 1, 1, tzinfo=UTC),
        sent_at=None,
        settled_at=None,
        fact=None,
        message=None,
        plan=None,
    )


def _of(side: Side, changes: list[Change]) -> tuple[int, int]:
    """Writing calls and looks that the rules need."""
    found = needed(side, 0, changes)
    return found.writes, found.looks


@pytest.mark.parametrize(
    ("side", "seen", "calls"),
    [(Side.CRM, 0, 1), (Side.CRM, 2500, 1), (Side.CRM, 2501, 2), (Side.ESP, 0, 2), (Side.ESP, 1001, 3)],
)
def test_reading_takes_full_pages_and_each_listing(side: Side, seen: int, calls: int) -> None:
    assert reads(side, seen) == calls


def test_any_program_may_write_all_of_a_record_at_once() -> None:
    changes = [*_changes(50, ChangeKind.OPT_OUT, off=True), *_changes(50, ChangeKind.FIELD)]
    assert writes(Side.CRM, changes) == writes(Side.ESP, changes) == 1
    assert writes(Side.CRM, [*changes, *_changes(1, ChangeKind.CREATE, first=50, new=True)]) == 2


def test_by_the_rules_what_restricts_travels_alone_and_what_permits_is_looked_at() -> None:
    outs, fields = _changes(49, ChangeKind.OPT_OUT, off=True), _changes(49, ChangeKind.FIELD)
    assert _of(Side.CRM, [*outs, *fields]) == (2, 0)
    permits = [c for kind in (ChangeKind.OPT_IN, ChangeKind.TOPIC, ChangeKind.GRANT) for c in _changes(49, kind)]
    assert _of(Side.CRM, permits) == (1, 1)
    assert _of(Side.CRM, [*permits, *_changes(200, ChangeKind.OPT_IN, first=49)]) == (6, 2)


def test_on_a_platform_each_kind_is_a_call_of_its_own_and_has_its_look() -> None:
    wishes = [*_changes(2, ChangeKind.OPT_IN), *_changes(9, ChangeKind.TOPIC)]
    assert _of(Side.ESP, wishes) == (2, 2 + 3)
    assert _of(Side.ESP, _changes(3, ChangeKind.RENAME)) == (3, 0)
    assert _of(Side.ESP, _changes(501, ChangeKind.CREATE, new=True)) == (2, 4)


def test_news_are_asked_for_after_each_minute_of_writing() -> None:
    found = [needed(side, 0, [], minutes=3) for side in (Side.CRM, Side.ESP)]
    assert [(one.listening, one.calls) for one in found] == [(3, 4), (6, 8)]
    of_own = [needed(side, 0, _changes(2, ChangeKind.FIELD), minutes=3) for side in (Side.CRM, Side.ESP)]
    assert [each.listening for each in of_own] == [3, 9], "whoever the platform shows may have complained"


def test_complaints_and_mails_are_listed_and_fields_described_once() -> None:
    found = needed(Side.ESP, 5, [], is_first=True, is_full=True)
    assert (found.reads, found.listings, found.describing, found.calls) == (2, 2, 3, 7)
    assert needed(Side.ESP, 0, []).calls == 2
    assert needed(Side.CRM, 5, [], is_first=True, is_full=True).calls == 1


def test_a_further_cycle_asks_for_news_and_is_shown_what_was_written_before() -> None:
    found = needed(Side.ESP, 2500, _changes(2, ChangeKind.FIELD), is_further=True)
    assert (found.reads, found.listening, found.echoes, found.writes) == (0, 2, 2, 1)
    assert needed(Side.CRM, 0, [], is_further=True, minutes=1).calls == 2


def test_what_a_cycle_made_itself_is_nothing_that_it_must_read() -> None:
    made = _changes(1500, ChangeKind.CREATE, new=True)
    report = SyncReport(seen={"crm": 4000, "esp": 0}, changes=[*made, *_changes(50, ChangeKind.FIELD)])
    assert calls._least(Side.CRM, [report], is_full=True) == 1 + 31
    assert calls._shown(Side.CRM, report, is_full=True) == 2500
    assert calls._shown(Side.CRM, report, is_full=False) == 2450, "what it wrote comes back with the news"
