"""Reads: keyset walk, second pass, watermark, completeness."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optsync.connect.contract import CanArchive, CanConfirmOptIn, CanRename, CanTag, Connector
from optsync.errors import SystemUnavailable
from optsync.model.page import ReadSpec
from optsync.model.record import Origin, Status
from optsync_mailchimp.mapping import FORGOTTEN_DOMAIN, Members
from optsync_mailchimp.tests.world import NEWS, OFFERS, START, World, numbered


def _drop(edit: Callable[[Any], Any], number: int) -> Any:
    """Edits the rows of one listing answer."""
    seen = 0

    def rewrite(method: str, path: str, body: Any) -> Any:
        nonlocal seen
        if path.endswith("/members") and method == "GET":
            seen += 1
            if seen == number:
                body["members"] = edit(body["members"])
        return body

    return rewrite


def test_the_connector_keeps_the_contract_and_its_optional_powers() -> None:
    connector = World({}).connector

    for protocol in (Connector, CanArchive, CanRename, CanTag, CanConfirmOptIn):
        assert isinstance(connector, protocol)


def test_a_full_read_shows_everybody_once_archived_ones_last() -> None:
    world = World({**numbered(2500), **{f"old{n}@example.org": Status.ARCHIVED for n in range(30)}})
    before = world.connector.calls
    pages = world.read()

    ids = [r.id for page in pages for r in page.records]
    assert len(ids) == len(set(ids)) == 2530
    assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert all(page.is_full and page.is_complete for page in pages)
    assert {r.status for r in pages[-1].records} == {Status.ARCHIVED}
    # Three pages of live members, one of archived ones; two calls bring the group names, one the abuse reports.
    assert world.connector.calls - before == 4 + 2 + 1


def test_a_delta_without_changes_costs_two_calls_and_shows_nothing() -> None:
    world = World(numbered(10))
    cursor = world.read()[-1].cursor
    before = world.connector.calls
    pages = world.read(cursor)

    assert [r for page in pages for r in page.records] == []
    assert world.connector.calls - before == 2
    assert not pages[-1].is_full


def test_the_first_page_of_a_full_read_names_no_date() -> None:
    world = World(numbered(3))
    world.read()

    assert all("since_last_changed" not in r.query for r in world.line.requests)


def test_a_delta_shows_changes_made_while_the_last_read_was_under_way() -> None:
    world = World(numbered(1500))

    def meanwhile(count: int) -> None:
        world.clock.advance(30)
        if count == 1:
            world.act("unsubscribe", "person1@example.org")

    world.line.after = meanwhile
    cursor = world.read()[-1].cursor
    world.line.after = lambda _count: None
    changed = {r.addresses[0]: r.status for page in world.read(cursor) for r in page.records}

    assert changed["person1@example.org"] is Status.OUT


def test_the_watermark_is_the_vendors_time_and_not_ours() -> None:
    world = World(numbered(3))
    cursor = world.read()[-1].cursor
    assert cursor is not None

    assert msgspec.json.decode(cursor)["window"] == (START - timedelta(minutes=10)).isoformat()


def test_rows_that_move_to_the_end_while_we_page_hide_nobody() -> None:
    world = World(numbered(2600))

    def edit(count: int) -> None:
        world.clock.advance(1)
        for n in range(count * 40, count * 40 + 25):
            world.act("set_field", f"person{n}@example.org", field="city", value=f"Bern{count}")

    world.line.after = edit
    pages = world.read()

    assert {r.addresses[0] for page in pages for r in page.records} == set(numbered(2600))
    assert pages[-1].is_complete


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 5), st.lists(st.integers(0, 2299), max_size=12))
def test_a_page_of_one_second_is_stepped_through_whoever_leaves_that_second(at: int, movers: list[int]) -> None:
    world = World(numbered(2300))
    for member in world.mock.audience.members.values():
        with world.mock.audience.edit(member, int(START.timestamp()) - 3600):
            member.language = "de"
    world.clock.advance(60)

    def edit(count: int) -> None:
        if count == at:
            for n in movers:
                world.act("set_field", f"person{n}@example.org", field="city", value="Bern")

    world.line.after = edit
    pages = world.read()

    assert {r.addresses[0] for page in pages for r in page.records} == set(numbered(2300))


def test_a_read_is_resumed_after_any_of_its_pages() -> None:
    world = World({**numbered(2300), "old@example.org": Status.ARCHIVED})
    pages = world.read()

    for number, page in enumerate(pages[:-1]):
        rest = world.read(page.cursor)
        assert [[r.id for r in p.records] for p in rest] == [[r.id for r in p.records] for p in pages[number + 1 :]]


@pytest.mark.parametrize("cursor", ["", "{}", "nonsense", '{"is_full": 1}', '{"is_full": true, "extra": 1}'])
def test_an_unusable_cursor_starts_a_full_read(cursor: str) -> None:
    world = World(numbered(3))
    pages = world.read(cursor)

    assert pages[-1].is_full
    assert sum(len(page.records) for page in pages) == 3


def test_a_page_that_repeats_a_row_is_tolerated() -> None:
    world = World(numbered(5))
    world.line.rewrite = _drop(lambda rows: [rows[0], *rows], 1)

    pages = world.read()
    assert {r.addresses[0] for page in pages for r in page.records} == set(numbered(5))


def test_a_page_that_lacks_rows_makes_the_read_incomplete() -> None:
    world = World(numbered(1500))
    world.line.rewrite = _drop(lambda rows: rows[:5] + rows[8:], 2)

    assert not world.read()[-1].is_complete


def test_a_page_that_ends_early_is_continued() -> None:
    world = World(numbered(1500))
    world.line.rewrite = _drop(lambda rows: rows[:-300], 1)
    pages = world.read()

    assert pages[-1].is_complete
    assert {r.addresses[0] for page in pages for r in page.records} == set(numbered(1500))


def test_a_total_that_nobody_can_reach_ends_the_read_as_incomplete() -> None:
    world = World(numbered(5))

    def inflate(method: str, path: str, body: Any) -> Any:
        return body | {"total_items": 7} if path.endswith("/members") and body["members"] else body

    world.line.rewrite = inflate
    pages = world.read()

    assert not pages[-1].is_complete
    assert {r.addresses[0] for page in pages for r in page.records} == set(numbered(5))


def test_a_member_who_is_archived_while_we_read_leaves_the_read_complete() -> None:
    world = World(numbered(1500))

    def archive(count: int) -> None:
        world.clock.advance(1)
        if count == 1:
            world.act("archive", "person1400@example.org")

    world.line.after = archive
    pages = world.read()

    assert pages[-1].is_complete
    assert [r.addresses[0] for r in pages[-1].records] == ["person1400@example.org"]


def test_a_row_without_identity_is_a_fault_of_its_page_alone() -> None:
    world = World(numbered(3))

    def break_one(rows: Any) -> Any:
        return [{**rows[0], "contact_id": ""}, *rows[1:]]

    world.line.rewrite = _drop(break_one, 1)
    pages = world.read()

    assert [fault.field for page in pages for fault in page.faults] == ["contact_id"]
    assert sum(len(page.records) for page in pages) == 2


def test_the_leftover_of_a_permanent_deletion_is_no_record() -> None:
    world = World(numbered(2))
    world.line.rewrite = _drop(lambda rows: [{**rows[0], "email_address": "f00" + FORGOTTEN_DOMAIN}, *rows[1:]], 1)

    assert sum(len(page.records) for page in world.read()) == 1


def test_an_audience_that_is_not_there_says_nothing_about_its_members() -> None:
    world = World(numbered(2))
    spec = ReadSpec(collection="0123456789")

    with pytest.raises(SystemUnavailable):
        list(world.connector.read(spec, None))
    with pytest.raises(SystemUnavailable):
        world.connector.read_ids(spec, ["c1"])


def test_members_are_read_by_contact_id_and_those_gone_are_left_out() -> None:
    world = World({"Ada.Lovelace+x@Example.org": Status.IN, "b@example.org": Status.IN})
    records = world.records()
    ada, gone = records["ada.lovelace+x@example.org"], records["b@example.org"]
    world.act("change_address", "ada.lovelace+x@example.org", to="ada@example.org")
    world.act("forget", "b@example.org")

    found = world.connector.read_ids(world.spec, [ada.id, gone.id])
    assert [(r.id, r.addresses) for r in found] == [(ada.id, ("ada@example.org",))]
    assert world.connector.read_ids(world.spec, [gone.id]) == []


def test_who_caused_an_opt_out_is_told_apart() -> None:
    world = World(numbered(4))
    world.act("unsubscribe", "person0@example.org")
    world.act("admin_unsubscribe", "person1@example.org")
    world.act("complain", "person2@example.org")
    records = world.records()

    origins = [records[f"person{n}@example.org"].origin for n in range(4)]
    assert origins == [Origin.PERSON, Origin.ADMIN, Origin.COMPLAINT, Origin.UNKNOWN]


def test_a_complaint_before_a_new_sign_up_is_told_and_not_taken_for_the_later_opt_out() -> None:
    world = World(numbered(1))
    complained_at = world.clock.now()
    world.act("complain", "person0@example.org")
    world.clock.advance(3600)
    world.act("resubscribe", "person0@example.org")
    again = world.records()["person0@example.org"]
    world.clock.advance(3600)
    world.act("unsubscribe", "person0@example.org")
    left = world.records()["person0@example.org"]

    assert (again.status, again.complained_at) == (Status.IN, complained_at)
    assert (left.status, left.origin, left.complained_at) == (Status.OUT, Origin.PERSON, complained_at)


def test_the_last_complaint_of_several_is_told_of_a_member_who_is_archived_too() -> None:
    world = World(numbered(2))
    world.act("complain", "person0@example.org")
    world.clock.advance(3600)
    world.act("resubscribe", "person0@example.org")
    world.act("complain", "person0@example.org")
    world.act("archive", "person0@example.org")
    records = world.records()

    assert records["person0@example.org"].status is Status.ARCHIVED
    assert records["person0@example.org"].complained_at == world.clock.now()
    assert records["person1@example.org"].complained_at is None


def test_a_complaint_in_the_second_of_the_last_reading_is_told_by_the_next() -> None:
    world = World(numbered(1))
    cursor = world.read()[-1].cursor
    world.act("complain", "person0@example.org")
    world.clock.advance(60)
    [record] = [r for page in world.read(cursor) for r in page.records]

    assert record.complained_at == world.clock.now() - timedelta(seconds=60)


def test_a_report_without_a_date_makes_a_complaint_of_the_opt_out() -> None:
    world = World(numbered(1))
    world.act("complain", "person0@example.org")
    world.mock.audience.abuse_reports[0]["date"] = ""
    record = world.records()["person0@example.org"]

    assert (record.origin, record.complained_at) == (Origin.COMPLAINT, None)


def test_a_complaint_that_takes_effect_after_a_sign_up_counts_although_it_is_dated_before() -> None:
    world = World(numbered(1))
    world.act("resubscribe", "person0@example.org")
    world.act("complain", "person0@example.org")
    [report] = world.mock.audience.abuse_reports
    report["date"] = (world.clock.now() - timedelta(minutes=5)).isoformat()

    assert world.records()["person0@example.org"].origin is Origin.COMPLAINT


def test_topics_are_found_by_name_and_an_unknown_one_has_no_value() -> None:
    world = World(numbered(1))
    world.act("set_topic", "person0@example.org", topic="news", wanted=True)
    spec = ReadSpec(collection=world.spec.collection, topics=frozenset({NEWS, OFFERS, "Topics/Nothing"}))
    [record] = [r for page in world.connector.read(spec, None) for r in page.records]

    assert record.topics == {NEWS: True, OFFERS: False, "Topics/Nothing": None}


def test_check_names_everything_that_is_missing() -> None:
    world = World({})
    spec = ReadSpec(
        collection=world.spec.collection,
        fields=frozenset({"FNAME", "COMPANY_SIZE", "EMAIL"}),
        topics=frozenset({NEWS, "Topics/Nothing"}),
    )
    health = world.connector.check([spec, ReadSpec(collection="0123456789")])

    assert [p.field for p in health.problems] == ["COMPANY_SIZE", "EMAIL", "Topics/Nothing", "audience"]
    assert health.account_id
    assert health.clock_offset == pytest.approx(0, abs=1)


def test_describe_lists_audiences_fields_and_topics() -> None:
    [audience] = World({}).connector.describe()
    fields = {field.name: field for field in audience.fields}

    assert audience.topics == ("Topics/Events", NEWS, OFFERS)
    assert fields["CITY"].max_bytes == 255
    assert fields["PLAN"].type == "choice"
    assert fields["PLAN"].options == (("Gold", "Gold"), ("Silver", "Silver"))


def test_a_late_abuse_report_is_seen_by_the_full_read() -> None:
    world = World(numbered(1))
    world.act("complain", "person0@example.org")
    late, world.mock.audience.abuse_reports[:] = list(world.mock.audience.abuse_reports), []
    assert world.records()["person0@example.org"].origin is Origin.PERSON

    world.mock.audience.abuse_reports.extend(late)
    assert world.records()["person0@example.org"].origin is Origin.COMPLAINT


@pytest.mark.parametrize("is_looked_at", [False, True])
def test_a_complaint_that_is_shown_later_than_it_is_stamped_is_told_by_the_next_reading(is_looked_at: bool) -> None:
    world = World(numbered(2))
    world.clock.advance(300)
    pages = world.read()
    [ann] = [r for page in pages for r in page.records if r.addresses == ("person0@example.org",)]
    complained_at = world.clock.now() - timedelta(seconds=60)
    world.act("complain", "person0@example.org")
    [member] = [m for m in world.mock.audience.members.values() if m.contact_id == ann.id]
    member.last_changed -= 60
    world.mock.audience.abuse_reports[0]["date"] = complained_at.isoformat()
    world.clock.advance(60)
    if is_looked_at:
        shown = list(world.connector.read_ids(world.spec, [ann.id]))
    else:
        shown = [r for page in world.read(pages[-1].cursor) for r in page.records]

    [told] = [r for r in shown if r.id == ann.id]
    assert (told.origin, told.complained_at) == (Origin.COMPLAINT, complained_at)


def test_a_delta_that_shows_the_same_opt_outs_again_costs_three_calls() -> None:
    world = World(numbered(2))
    cursor = world.read()[-1].cursor
    world.clock.advance(5)
    world.act("unsubscribe", "person0@example.org")
    world.clock.advance(1)
    cursor = world.read(cursor)[-1].cursor
    before = world.connector.calls
    pages = world.read(cursor)

    assert [r.status for page in pages for r in page.records] == [Status.OUT]
    assert world.connector.calls - before == 2 + 1


def test_who_complained_is_looked_at_in_every_reading() -> None:
    """When somebody complained is in no row: its digest could not tell."""
    world = World(numbered(2))
    world.act("complain", "person0@example.org")
    (page, _) = world.connector.read_rows(world.spec, None)

    assert page.unmade is not None
    assert [r.addresses for r in page.records] == [("person0@example.org",)]
    assert len(page.unmade.digests) == 1


def test_a_group_of_the_same_name_that_is_another_one_makes_other_digests() -> None:
    members = [Members(ReadSpec(collection="a", topics=frozenset({NEWS})), {NEWS: known}) for known in ("1", "2", None)]
    assert len({each.digest(msgspec.Raw(b'{"contact_id":"c"}')) for each in members}) == 3


def test_a_group_that_was_missing_is_asked_for_again_after_ten_minutes_and_not_after_hours() -> None:
    world = World({"ann@example.com": Status.IN})
    world.act("set_topic", "ann@example.com", topic="news", wanted=True)

    def renamed(_method: str, _path: str, body: Any) -> Any:
        for group in body.get("interests", ()):
            group["name"] = {"News": "Former news"}.get(group["name"], group["name"])
        return body

    world.line.rewrite = renamed
    assert world.records()["ann@example.com"].topics == {NEWS: None, OFFERS: False}
    world.line.rewrite = lambda _method, _path, body: body
    world.clock.advance(600)
    assert world.records()["ann@example.com"].topics == {NEWS: None, OFFERS: False}
    world.clock.advance(1)
    assert world.records()["ann@example.com"].topics == {NEWS: True, OFFERS: False}
    before = len(world.line.requests)
    world.clock.advance(3600)
    world.records()
    assert not any("interest" in request.path for request in world.line.requests[before:])
