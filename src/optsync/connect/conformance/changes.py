"""Deltas."""

from datetime import datetime, timedelta

import pytest

from optsync.clock import ManualClock
from optsync.connect.conformance.desk import NAME, OTHER_TOPIC, TOPIC, Desk, by_address, people
from optsync.connect.contract import Absence
from optsync.model.page import Page


class _Skewed:
    """Another machine's clock."""

    def __init__(self, inner: ManualClock, seconds: float) -> None:
        self._inner = inner
        self._skew = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return self._inner.now() + self._skew

    def monotonic(self) -> float:
        return self._inner.monotonic()

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


def _start(desk: Desk, count: int = 6) -> str:
    """Seeds people, lets an hour pass, reads everything; the cursor of the next delta."""
    desk.needs_delta()
    desk.seed(*people(count))
    desk.harness.clock.advance(3600)
    cursor = desk.read()[-1].cursor
    assert cursor
    desk.harness.clock.advance(600)
    return cursor


class ChangeChecks:
    """What a delta shows."""

    def test_a_delta_shows_every_kind_of_change(self, desk: Desk) -> None:
        cursor = _start(desk)
        desk.act("set_field", "p0@example.com", field=NAME, value="Changed")
        desk.leave("p1@example.com")
        if desk.topics:
            desk.act("set_topic", "p2@example.com", topic=TOPIC, wanted=True)
        desk.appear("new@example.com")
        desk.act("change_address", "p3@example.com", to="moved@example.com")
        pages = desk.read(cursor)
        shown = by_address(pages)
        assert shown["p0@example.com"].fields[desk.name_field] == "Changed"
        assert desk.shows_out(shown["p1@example.com"])
        assert not desk.topics or shown["p2@example.com"].topics[desk.topics[TOPIC]] is True
        assert {"new@example.com", "moved@example.com"} <= set(shown)
        assert not any(page.is_full for page in pages)
        assert (pages[-1].is_last, pages[-1].is_complete) == (True, True)

    def test_without_a_delta_a_change_makes_the_next_read_a_full_one(self, desk: Desk) -> None:
        """The last cursor may be a mark by which an unchanged collection is known; it must never hide a change."""
        desk.needs(not desk.capabilities.has_delta, "it declares a delta")
        desk.seed(*people(3))
        cursor = desk.read()[-1].cursor
        for number in range(3):
            unchanged = desk.read(cursor)
            assert len(by_address(unchanged)) == (3 if unchanged[-1].is_full else 0)
            name = f"p{number}@example.com"
            desk.leave(name)
            pages = desk.read(cursor)
            assert all(page.is_full for page in pages)
            assert pages[-1].is_complete
            assert desk.shows_out(by_address(pages).get(name))
            desk.come_back(name)
            cursor = desk.read()[-1].cursor

    def test_a_delta_without_news_shows_nothing_new(self, desk: Desk) -> None:
        cursor = _start(desk)
        known = desk.records()
        for _ in range(3):
            pages = desk.read(cursor)
            assert {who: known[who] for who in by_address(pages)} == by_address(pages)
            assert pages[-1].cursor
            cursor = pages[-1].cursor
            desk.harness.clock.advance(600)
        assert by_address(desk.read(cursor)) == {}

    def test_deltas_follow_on_each_other_and_outlive_a_connector(self, desk: Desk) -> None:
        cursor: str | None = _start(desk)
        for turn in range(4):
            desk.act("set_field", f"p{turn}@example.com", field=NAME, value=f"Turn {turn}")
            pages = list(desk.connect().read(desk.spec, cursor))
            assert by_address(pages)[f"p{turn}@example.com"].fields[desk.name_field] == f"Turn {turn}"
            cursor = pages[-1].cursor
            desk.harness.clock.advance(1)

    def test_what_comes_back_to_what_it_was_is_shown_too(self, desk: Desk) -> None:
        cursor = _start(desk)
        desk.leave("p1@example.com")
        first = desk.read(cursor)
        desk.harness.clock.advance(600)
        desk.act("resubscribe" if desk.is_esp else "opt_in", "p1@example.com")
        assert desk.shows_out(by_address(first)["p1@example.com"])
        assert not desk.shows_out(by_address(desk.read(first[-1].cursor))["p1@example.com"])

    def test_a_long_delta_goes_on_from_every_cursor(self, crowd: Desk) -> None:
        crowd.needs_delta()
        crowd.harness.clock.advance(3600)
        cursor = crowd.read()[-1].cursor
        crowd.harness.clock.advance(600)
        for number in range(crowd.harness.crowd):
            crowd.act("set_field", f"p{number}@example.com", field=NAME, value="All")
        pages = crowd.read(cursor)
        everybody = {f"p{number}@example.com" for number in range(crowd.harness.crowd)}
        assert set(by_address(pages)) == everybody
        for done in range(1, len(pages)):
            rest = list(crowd.connect().read(crowd.spec, pages[done - 1].cursor))
            assert set(by_address(pages[:done])) | set(by_address(rest)) == everybody
            assert not any(page.is_full for page in rest)

    def test_what_happens_during_a_delta_is_shown_by_it_or_by_the_next(self, crowd: Desk) -> None:
        crowd.needs_delta()
        cursor = crowd.read()[-1].cursor
        crowd.harness.clock.advance(600)
        count = crowd.harness.crowd
        for number in range(count):
            crowd.act("set_field", f"p{number}@example.com", field=NAME, value="All")
        pages: list[Page] = []
        left: list[str] = []
        for page in crowd.connector.read(crowd.spec, cursor):
            pages.append(page)
            crowd.harness.clock.advance(1)
            if len(left) < 6:
                left += [f"p{len(left)}@example.com", f"p{count - 1 - len(left)}@example.com"]
                crowd.leave(left[-1])
                crowd.leave(left[-2])
        shown = by_address(pages) | by_address(crowd.read(pages[-1].cursor))
        assert len(shown) == count
        assert [who for who in left if not crowd.shows_out(shown[who])] == []

    @pytest.mark.parametrize("seconds", [-86_400, -600, 600, 86_400])
    def test_a_wrong_clock_of_ours_hides_no_change(self, desk: Desk, seconds: int) -> None:
        _start(desk)
        connector = desk.connect(clock=_Skewed(desk.harness.clock, seconds))
        cursor = list(connector.read(desk.spec, None))[-1].cursor
        desk.harness.clock.advance(5)
        desk.leave("p4@example.com")
        pages = list(connector.read(desk.spec, cursor))
        assert desk.shows_out(by_address(pages)["p4@example.com"])
        if desk.capabilities.speaks_http:
            assert connector.clock_offset is not None
            assert abs(connector.clock_offset + seconds) < 60

    def test_the_offset_of_its_clock_is_measured_or_unknown(self, desk: Desk) -> None:
        desk.needs(desk.capabilities.speaks_http, "it declares that it sends no requests")
        offsets = []
        for clock in (desk.harness.clock, _Skewed(desk.harness.clock, 600)):
            connector = desk.connect(clock=clock)
            connector.check([desk.spec])
            offsets.append(connector.clock_offset)
        usual, ahead = offsets
        # A real server goes by a clock of its own, whatever ours here says.
        assert (usual is None) is (ahead is None)
        assert usual is None or ahead is None or abs(usual - ahead - 600) < 60

    def test_without_requests_the_clock_is_known_once_something_was_read(self, desk: Desk) -> None:
        """While it is unknown no opt-in lifts anything."""
        desk.needs(not desk.capabilities.speaks_http, "it declares that it sends requests, whose answers have a time")
        _start(desk)
        connector = desk.connect()
        list(connector.read(desk.spec, None))
        assert connector.clock_offset is not None

    def test_our_own_write_is_seen_again_as_its_outcome_showed_it(self, desk: Desk) -> None:
        cursor = _start(desk)
        records = desk.records()
        writes = [desk.out(records["p0@example.com"]), desk.named(records["p1@example.com"], "Echo")]
        if desk.topics:
            writes.append(desk.ticked(records["p2@example.com"], **{OTHER_TOPIC: True}))
        outcomes = desk.write(*writes)
        assert desk.capabilities.absence is Absence.DELETED
        shown = {record.id: record for record in by_address(desk.read(cursor)).values()}
        for outcome in outcomes:
            if desk.capabilities.write_shows_state:
                assert outcome.record == shown[str(outcome.record_id)]
