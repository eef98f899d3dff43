"""Writes: roads, refusals, lost answers, and the one rule that fields never carry a status."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optsync.model.change import Fact, GrantEvidence, Outcome, Result, WriteKind
from optsync.model.record import Origin, Status
from optsync_mailchimp.tests.world import NEWS, OFFERS, START, World, numbered

_A, _B, _C = "person0@example.org", "person1@example.org", "person2@example.org"
_GERMAN = "Diese Adresse kann leider nicht eingetragen werden."


def _results(outcomes: list[Outcome]) -> set[tuple[Result, Fact | None]]:
    return {(outcome.result, outcome.fact) for outcome in outcomes}


def _words(value: Any) -> Iterator[str]:
    """Every key anywhere in a body."""
    if isinstance(value, dict):
        yield from value
        for part in value.values():
            yield from _words(part)
    elif isinstance(value, list):
        for part in value:
            yield from _words(part)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([WriteKind.FIELDS, WriteKind.TOPICS]),
            st.integers(0, 4),
            st.booleans(),
            st.booleans(),
            st.text(max_size=6),
        ),
        min_size=1,
        max_size=8,
    ),
    st.booleans(),
)
def test_no_request_made_of_fields_or_topics_holds_a_status(
    parts: list[tuple[WriteKind, int, bool, bool, str]], is_german: bool
) -> None:
    world = World(numbered(5), language="de" if is_german else "en")
    records = list(world.records().values())
    world.act("forget", records[0].addresses[0])
    world.act("archive", records[1].addresses[0])
    writes = [
        world.to(
            kind,
            records[n],
            status=Status.IN if hostile else None,
            address=records[n].addresses[0] if addressed else None,
            **({"fields": {"CITY": text, "PLAN": text}} if kind is WriteKind.FIELDS else {"topics": {NEWS: hostile}}),
        )
        for kind, n, hostile, addressed, text in parts
    ]
    world.write(*writes)

    assert [word for body in world.bodies() for word in _words(body) if "status" in word] == []
    assert world.shows(_C)["word"] == "subscribed"


def test_many_opt_outs_travel_in_one_call_for_500() -> None:
    world = World(numbered(1001))
    records = list(world.records().values())
    outcomes = world.write(*(world.out(record) for record in records))

    assert _results(outcomes) == {(Result.APPLIED, None)}
    assert [o.record_id for o in outcomes] == [r.id for r in records]
    assert all(o.record is not None and o.record.status is Status.OUT for o in outcomes)
    assert world.calls("POST") == 3
    assert world.calls("PATCH") == 0


def test_one_opt_out_travels_by_contact_id_and_survives_a_rename() -> None:
    world = World(numbered(1))
    record = world.records()[_A]
    world.act("change_address", _A, to="new@example.org")
    [outcome] = world.write(world.out(record))

    assert (outcome.result, outcome.record_id) == (Result.APPLIED, record.id)
    assert world.shows("new@example.org")["word"] == "unsubscribed"


def test_a_bulk_opt_out_follows_a_record_whose_address_changed_meanwhile() -> None:
    world = World(numbered(2))
    records = world.records()
    world.act("change_address", _A, to="new@example.org")
    outcomes = world.write(*(world.out(r) for r in records.values()))

    assert _results(outcomes) == {(Result.APPLIED, None)}
    assert world.shows("new@example.org")["word"] == "unsubscribed"
    assert world.shows(_A)["word"] == "unsubscribed"


def test_a_bulk_opt_in_that_made_a_new_member_is_taken_back() -> None:
    world = World(numbered(60, Status.OUT))
    records = world.records()
    world.act("change_address", _A, to="new@example.org")
    outcomes = world.write(*(world.into(r) for r in records.values()))

    assert [o.result for o in outcomes].count(Result.APPLIED) == 59
    [failed] = [o for o in outcomes if o.result is Result.FAILED]
    assert failed.record_id == records[_A].id
    assert world.shows(_A)["word"] == "archived"
    assert world.shows("new@example.org")["word"] == "unsubscribed"


def test_what_restricts_goes_first() -> None:
    world = World(numbered(3))
    a, b, c = (world.records()[address] for address in (_A, _B, _C))
    world.line.requests.clear()
    world.write(
        world.to(WriteKind.FIELDS, a, fields={"CITY": "Bern"}),
        world.create("new@example.org"),
        world.to(WriteKind.TOPICS, b, topics={NEWS: False}),
        world.out(c),
    )

    first, second, *_ = world.bodies()
    assert first == {"status": "unsubscribed"}
    assert list(second) == ["interests"]


def test_an_evidenced_opt_in_carries_its_own_time() -> None:
    world = World({_A: Status.UNKNOWN})
    at = datetime(2026, 5, 1, 10, tzinfo=UTC)
    record = world.records()[_A]
    evidence = GrantEvidence(at=at, ip="203.0.113.9")
    [outcome] = world.write(world.to(WriteKind.STATUS, record, status=Status.IN, evidence=evidence))

    assert world.bodies()[-1] == {"status": "subscribed", "timestamp_opt": at.isoformat(), "ip_opt": "203.0.113.9"}
    assert outcome.record is not None
    assert outcome.record.opted_in_at == at


@pytest.mark.parametrize("is_bulk", [False, True])
@pytest.mark.parametrize("is_error", [False, True])
def test_who_left_by_themself_is_not_brought_back(is_bulk: bool, is_error: bool) -> None:
    world = World(numbered(60 if is_bulk else 1), bulk_refusal_is_error=is_error)
    world.act("unsubscribe", _A)
    records = world.records()
    outcomes = {o.record_id: o for o in world.write(*(world.into(r) for r in records.values()))}
    refused = outcomes[records[_A].id]

    assert (refused.result, refused.fact) == (Result.REFUSED, Fact.SELF_UNSUBSCRIBED)
    assert world.shows(_A)["word"] == "unsubscribed"


def test_a_write_shows_a_complaint_as_a_read_does() -> None:
    world = World(numbered(1))
    world.act("complain", _A)
    record = world.records()[_A]
    world.clock.advance(60)
    [refused] = world.write(world.into(record))
    [applied] = world.write(world.to(WriteKind.FIELDS, record, fields={"CITY": "Bern"}))

    for outcome in (refused, applied):
        assert outcome.record is not None
        assert outcome.record.origin is Origin.COMPLAINT


def test_a_bounced_member_is_undeliverable_and_not_self_unsubscribed() -> None:
    world = World(numbered(1))
    world.act("bounce", _A)
    [outcome] = world.write(world.into(world.records()[_A]))

    assert (outcome.result, outcome.fact) == (Result.REFUSED, Fact.UNDELIVERABLE)
    assert outcome.record is not None
    assert outcome.record.status is Status.BOUNCED


def test_a_status_that_silently_stays_is_a_refusal() -> None:
    world = World({_A: Status.OUT})
    record = world.records()[_A]
    world.line.rewrite = lambda method, _path, body: body | {"status": "unsubscribed"} if method == "PATCH" else body
    [outcome] = world.write(world.into(record))

    assert (outcome.result, outcome.fact) == (Result.REFUSED, Fact.SELF_UNSUBSCRIBED)


def test_an_archived_member_is_taken_back_when_asked_for() -> None:
    world = World({_A: Status.ARCHIVED})
    [outcome] = world.write(world.into(world.records()[_A]))

    assert outcome.result is Result.APPLIED
    assert world.shows(_A)["word"] == "subscribed"


def test_a_request_is_sent_member_by_member() -> None:
    world = World(numbered(3, Status.UNKNOWN))
    outcomes = world.write(*(world.to(WriteKind.STATUS, r, status=Status.PENDING) for r in world.records().values()))

    assert {o.record.status for o in outcomes if o.record} == {Status.PENDING}
    assert world.calls("PATCH") == 3


@pytest.mark.parametrize("count", [1, 3])
def test_a_member_who_is_gone_is_gone_on_every_road(count: int) -> None:
    world = World(numbered(count))
    records = world.records()
    world.act("forget", _A)
    for kind, parts in ((WriteKind.FIELDS, {"fields": {"CITY": "x"}}), (WriteKind.TOPICS, {"topics": {NEWS: True}})):
        outcomes = world.write(*(world.to(kind, r, **parts) for r in records.values()))
        by_id = {o.record_id: o for o in outcomes}
        assert by_id[records[_A].id].fact is Fact.GONE
        assert [o.result for o in outcomes].count(Result.APPLIED) == count - 1


def test_one_bad_value_stops_its_own_record_only() -> None:
    world = World(numbered(3), language="de")
    a, b, c = (world.records()[address] for address in (_A, _B, _C))
    outcomes = world.write(
        world.to(WriteKind.FIELDS, a, fields={"PLAN": "Platinum"}),
        world.to(WriteKind.FIELDS, b, fields={"PLAN": "Gold", "CITY": "Genève"}),
        world.to(WriteKind.FIELDS, c, fields={"NOSUCHTAG": "x"}),
    )

    assert [(o.result, o.field) for o in outcomes] == [
        (Result.INVALID, "PLAN"),
        (Result.APPLIED, None),
        (Result.INVALID, "NOSUCHTAG"),
    ]
    assert world.shows(_B)["fields"]["city"] == "Genève"


def test_an_account_that_wants_a_status_in_every_item_gets_fields_and_topics_member_by_member() -> None:
    world = World(numbered(2), bulk_needs_status=True)
    a, b = world.records().values()
    world.write(*(world.to(WriteKind.FIELDS, r, fields={"CITY": "Bern"}) for r in (a, b)))
    world.write(*(world.to(WriteKind.TOPICS, r, topics={NEWS: True}) for r in (a, b)))

    shown = [world.shows(r.addresses[0]) for r in (a, b)]
    assert [(s["word"], s["fields"]["city"], s["topics"]["news"]) for s in shown] == [("subscribed", "Bern", True)] * 2


def test_text_is_cut_before_it_is_sent_and_shown_as_cut() -> None:
    world = World(numbered(1))
    record = world.records()[_A]
    [outcome] = world.write(world.to(WriteKind.FIELDS, record, fields={"CITY": "ü" * 200, "FNAME": None}))

    assert outcome.record is not None
    assert outcome.record.fields == {"CITY": "ü" * 127, "FNAME": None, "PLAN": None}


def test_created_members_come_back_with_their_ids_in_few_calls() -> None:
    world = World(numbered(3))
    world.records()
    before = world.connector.calls
    outcomes = world.write(
        *(world.create(f"Néw{n}@Example.org", fields={"CITY": "Bern"}, topics={OFFERS: True}) for n in range(500))
    )

    assert _results(outcomes) == {(Result.APPLIED, None)}
    # The definitions of fields, who is archived, the bulk call, and one listing for the ids that it leaves out.
    assert world.connector.calls - before == 4
    shown = world.records()
    assert {o.record_id for o in outcomes} == {shown[f"néw{n}@example.org"].id for n in range(500)}
    assert shown["néw7@example.org"].topics == {NEWS: False, OFFERS: True}


def test_the_listing_that_brings_ids_shows_nothing_else_of_anybody() -> None:
    """It would show what other people said meanwhile, and no reading would have heard it."""
    world = World(numbered(1))
    shown: list[set[str]] = []

    def note(method: str, path: str, body: Any) -> Any:
        if method == "GET" and path.endswith("/members"):
            shown.extend(set(member) for member in body["members"])
        return body

    world.line.after = lambda _: world.act("admin_unsubscribe", _A)
    world.line.rewrite = note
    [outcome] = world.write(world.create("new@example.org"))

    assert outcome.record_id
    assert shown
    assert all(names == {"email_address", "contact_id"} for names in shown)


@pytest.mark.parametrize("status", [Status.IN, Status.OUT, Status.PENDING, Status.ARCHIVED, Status.BOUNCED])
def test_a_create_never_touches_a_member_who_exists(status: Status) -> None:
    world = World({_A: status})
    before = world.shows(_A)
    [outcome] = world.write(world.create(_A.upper(), fields={"CITY": "Bern"}))

    assert (outcome.result, outcome.fact) == (Result.REFUSED, Fact.EXISTS)
    assert outcome.record is not None
    assert outcome.record.status is status
    assert world.shows(_A) == before


def test_a_member_whom_a_create_met_shows_no_field_as_emptied_that_the_audience_does_not_have() -> None:
    world = World({_A: Status.IN})
    fields = world.mock.audience.merge_fields
    del fields[next(key for key, field in fields.items() if field.tag == "PLAN")]
    [outcome] = world.write(world.create(_A, fields={"FNAME": "Bea"}))

    assert outcome.record is not None
    assert set(outcome.record.fields) == {"FNAME", "CITY"}


def test_two_creates_of_one_address_make_one_member() -> None:
    world = World({})
    outcomes = world.write(world.create("Ada@example.org"), world.create("ada@EXAMPLE.org"))

    assert [o.fact for o in outcomes] == [None, Fact.EXISTS]


@pytest.mark.parametrize("is_german", [False, True])
def test_refused_addresses_are_told_apart_in_every_language(is_german: bool) -> None:
    world = World(numbered(2))
    world.act("forget", _A)
    if is_german:
        world.line.rewrite = _translate
    fake = "ada@gmail.con"
    outcomes = world.write(world.create(_A), world.create("fine@example.org"), world.create(fake))

    assert (outcomes[0].result, outcomes[0].fact) == (Result.REFUSED, Fact.FORGOTTEN)
    assert outcomes[1].result is Result.APPLIED
    if is_german:
        # Nothing but the words would tell a fake address from a passing limit: it waits, and is not condemned.
        assert outcomes[2].result is Result.FAILED
        assert outcomes[2].retry_at == START + timedelta(days=1)
    else:
        assert outcomes[2].fact is Fact.FAKE_ADDRESS


def _translate(_method: str, _path: str, body: Any) -> Any:
    if isinstance(body, dict) and "detail" in body:
        return body | {"detail": _GERMAN}
    if isinstance(body, dict) and "error_count" in body:
        return body | {"errors": [e | {"error": _GERMAN, "field_message": _GERMAN} for e in body["errors"]]}
    return body


def test_a_localized_compliance_refusal_is_still_one() -> None:
    world = World(numbered(60))
    world.act("unsubscribe", _A)
    records = world.records()
    world.line.rewrite = _translate
    outcomes = {o.record_id: o for o in world.write(*(world.into(r) for r in records.values()))}

    assert outcomes[records[_A].id].fact is Fact.SELF_UNSUBSCRIBED


def test_an_address_that_signs_up_too_often_waits_a_day() -> None:
    world = World({})
    world.act("throttle", "busy@example.org")
    [outcome] = world.write(world.create("busy@example.org"))

    assert (outcome.result, outcome.retry_at) == (Result.FAILED, START + timedelta(days=1))


def test_a_status_that_mailchimp_does_not_take_is_not_sent() -> None:
    world = World(numbered(1))
    record = world.records()[_A]
    [outcome] = world.write(world.to(WriteKind.STATUS, record, status=Status.BOUNCED))

    assert (outcome.result, outcome.fact) == (Result.REFUSED, Fact.NOT_ALLOWED)
