"""Writes: roads, refusals, lost answers, and the one rule that fields never carry a status."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optsync.errors import CredentialsRefused, SystemUnavailable
from optsync.model.change import Fact, GrantEvidence, Outcome, Result, Write, WriteKind
from optsync.model.record import Origin, Record, Status
from optsync_mailchimp.tests.world import NEWS, OFFERS, START, World, numbered

_A, _B, _C = "person0@example.org", "person1@example.org", "person2@example.org"
_GERMAN = "Diese Adresse kann leider nicht eingetragen werden."


def _out(world: World, record: Record) -> Write:
    return world.to(WriteKind.STATUS, record, status=Status.OUT, restrictive=True)


def _in(world: World, record: Record) -> Write:
    return world.to(WriteKind.STATUS, record, status=Status.IN)


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
    outcomes = world.write(*(_out(world, record) for record in records))

    assert _results(outcomes) == {(Result.APPLIED, None)}
    assert [o.record_id for o in outcomes] == [r.id for r in records]
    assert all(o.record is not None and o.record.status is Status.OUT for o in outcomes)
    assert world.calls("POST") == 3
    assert world.calls("PATCH") == 0


def test_one_opt_out_travels_by_contact_id_and_survives_a_rename() -> None:
    world = World(numbered(1))
    record = world.records()[_A]
    world.act("change_address", _A, to="new@example.org")
    [outcome] = world.write(_out(world, record))

    assert (outcome.result, outcome.record_id) == (Result.APPLIED, record.id)
    assert world.shows("new@example.org")["word"] == "unsubscribed"


def test_a_bulk_opt_out_follows_a_record_whose_address_changed_meanwhile() -> None:
    world = World(numbered(2))
    records = world.records()
    world.act("change_address", _A, to="new@example.org")
    outcomes = world.write(*(_out(world, r) for r in records.values()))

    assert _results(outcomes) == {(Result.APPLIED, None)}
    assert world.shows("new@example.org")["word"] == "unsubscribed"
    assert world.shows(_A)["word"] == "unsubscribed"


def test_a_bulk_opt_in_that_made_a_new_member_is_taken_back() -> None:
    world = World(numbered(60, Status.OUT))
    records = world.records()
    world.act("change_address", _A, to="new@example.org")
    outcomes = world.write(*(_in(world, r) for r in records.values()))

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
        _out(world, c),
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
    outcomes = {o.record_id: o for o in world.write(*(_in(world, r) for r in records.values()))}
    refused = outcomes[records[_A].id]

    assert (refused.result, refused.fact) == (Result.REFUSED, Fact.SELF_UNSUBSCRIBED)
    assert world.shows(_A)["word"] == "unsubscribed"


def test_a_write_shows_a_complaint_as_a_read_does() -> None:
    world = World(numbered(1))
    world.act("complain", _A)
    record = world.records()[_A]
    world.clock.advance(60)
    [refused] = world.write(_in(world, record))
    [applied] = world.write(world.to(WriteKind.FIELDS, record, fields={"CITY": "Bern"}))

    for outcome in (refused, applied):
        assert outcome.record is not None
        assert outcome.record.origin is Origin.COMPLAINT


def test_a_bounced_member_is_undeliverable_and_not_self_unsubscribed() -> None:
    world = World(numbered(1))
    world.act("bounce", _A)
    [outcome] = world.write(_in(world, world.records()[_A]))

    assert (outcome.result, outcome.fact) == (Result.REFUSED, Fact.UNDELIVERABLE)
    assert outcome.record is not None
    assert outcome.record.status is Status.BOUNCED


def test_a_status_that_silently_stays_is_a_refusal() -> None:
    world = World({_A: Status.OUT})
    record = world.records()[_A]
    world.line.rewrite = lambda method, _path, body: body | {"status": "unsubscribed"} if method == "PATCH" else body
    [outcome] = world.write(_in(world, record))

    assert (outcome.result, outcome.fact) == (Result.REFUSED, Fact.SELF_UNSUBSCRIBED)


def test_an_archived_member_is_taken_back_when_asked_for() -> None:
    world = World({_A: Status.ARCHIVED})
    [outcome] = world.write(_in(world, world.records()[_A]))

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


@pytest.mark.parametrize("status", [Status.IN, Status.OUT, Status.PENDING, Status.ARCHIVED, Status.BOUNCED])
def test_a_create_never_touches_a_member_who_exists(status: Status) -> None:
    world = World({_A: status})
    before = world.shows(_A)
    [outcome] = world.write(world.create(_A.upper(), fields={"CITY": "Bern"}))

    assert (outcome.result, outcome.fact) == (Result.REFUSED, Fact.EXISTS)
    assert outcome.record is not None
    assert outcome.record.status is status
    assert world.shows(_A) == before


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
    outcomes = {o.record_id: o for o in world.write(*(_in(world, r) for r in records.values()))}

    assert outcomes[records[_A].id].fact is Fact.SELF_UNSUBSCRIBED


def test_an_address_that_signs_up_too_often_waits_a_day() -> None:
    world = World({})
    world.act("throttle", "busy@example.org")
    [outcome] = world.write(world.create("busy@example.org"))

    assert (outcome.result, outcome.retry_at) == (Result.FAILED, START + timedelta(days=1))


def test_an_opt_out_whose_answer_is_lost_once_is_simply_repeated() -> None:
    world = World(numbered(2))
    records = world.records()
    lost = iter([True])
    world.line.lose = lambda method, _path: method == "POST" and next(lost, False)

    assert _results(world.write(*(_out(world, r) for r in records.values()))) == {(Result.APPLIED, None)}
    assert world.calls("POST") == 2


def test_an_opt_in_whose_answer_is_lost_is_unknown_and_never_sent_again() -> None:
    world = World(numbered(1, Status.UNKNOWN))
    record = world.records()[_A]
    world.line.lose = lambda method, _path: method == "PATCH"
    [outcome] = world.write(_in(world, record))

    assert outcome.result is Result.UNKNOWN
    assert world.calls("PATCH") == 1


def test_a_create_whose_answer_is_lost_is_recognised_as_ours() -> None:
    world = World({"old@example.org": Status.OUT})
    lost = iter([True])
    world.line.lose = lambda method, _path: method == "POST" and next(lost, False)
    new, old = world.write(world.create("new@example.org", fields={"CITY": "Bern"}), world.create("old@example.org"))

    assert (new.result, new.fact) == (Result.APPLIED, None)
    assert new.record_id == world.records()["new@example.org"].id
    assert (old.result, old.fact) == (Result.REFUSED, Fact.EXISTS)
    assert world.shows("old@example.org")["word"] == "unsubscribed"


def test_a_request_whose_answer_is_lost_is_never_sent_twice() -> None:
    world = World({})
    world.line.lose = lambda method, _path: method == "POST"
    [outcome] = world.write(world.create("new@example.org", Status.PENDING))

    assert outcome.result is Result.APPLIED
    assert outcome.record is not None
    assert outcome.record.status is Status.PENDING
    assert world.calls("POST") == 1


def test_after_a_failure_of_the_system_the_rest_is_not_sent() -> None:
    world = World(numbered(3))
    a, b, c = (world.records()[address] for address in (_A, _B, _C))

    def deactivate(_count: int) -> None:
        world.mock.act("account", state="UserDisabled")

    world.line.after = deactivate
    outcomes = world.write(
        _out(world, a),
        world.to(WriteKind.TOPICS, b, topics={NEWS: False}),
        world.to(WriteKind.FIELDS, c, fields={"CITY": "x"}),
    )

    assert [o.result for o in outcomes] == [Result.APPLIED, Result.FAILED, Result.FAILED]


def test_refused_credentials_are_raised_while_nothing_was_sent() -> None:
    world = World(numbered(1))
    record = world.records()[_A]
    world.mock.act("account", state="UserDisabled")

    with pytest.raises(CredentialsRefused):
        world.write(_out(world, record))


def test_a_system_that_cannot_be_reached_is_said_to_be_so_and_loses_no_outcome() -> None:
    world = World(numbered(2))
    a, b = world.records().values()
    world.line.refuse = lambda method, _path: method == "GET"
    with pytest.raises(SystemUnavailable):
        world.write(world.create("new@example.org"))

    [outcome] = world.write(_out(world, a))
    assert outcome.result is Result.APPLIED
    first, second = world.write(_out(world, b), world.create("new@example.org"))
    assert (first.result, second.result) == (Result.APPLIED, Result.FAILED)


def test_an_audience_that_vanished_makes_nobody_gone() -> None:
    world = World(numbered(1))
    record = world.records()[_A]
    world.mock.account.audiences.clear()
    [outcome] = world.write(_out(world, record))

    assert (outcome.result, outcome.fact) == (Result.FAILED, None)


def test_a_status_that_mailchimp_does_not_take_is_not_sent() -> None:
    world = World(numbered(1))
    record = world.records()[_A]
    [outcome] = world.write(world.to(WriteKind.STATUS, record, status=Status.BOUNCED))

    assert (outcome.result, outcome.fact) == (Result.REFUSED, Fact.NOT_ALLOWED)


def test_a_bulk_call_without_answer_makes_the_next_ones_smaller() -> None:
    world = World(numbered(900))
    records = list(world.records().values())
    world.line.lose = lambda method, _path: method == "POST"
    outcomes = world.write(*(world.to(WriteKind.FIELDS, r, fields={"CITY": "Bern"}) for r in records[:2]))
    assert {o.result for o in outcomes} == {Result.UNKNOWN}

    world.line.lose = lambda _method, _path: False
    world.line.requests.clear()
    outcomes = world.write(*(world.to(WriteKind.FIELDS, r, fields={"CITY": "Basel"}) for r in records))
    assert {o.result for o in outcomes} == {Result.APPLIED}
    assert [len(body["members"]) for body in world.bodies()] == [250, 250, 250, 150]


def test_a_bulk_call_refused_as_a_whole_is_narrowed_down_to_its_items() -> None:
    world = World(numbered(4))
    records = list(world.records().values())
    refusal = {
        "title": "Invalid Resource",
        "status": 400,
        "detail": "",
        "errors": [{"field": "merge_fields.CITY", "message": "Data did not match any of the schemas."}],
    }

    def refuse(_method: str, path: str, body: Any) -> Any:
        holds_bad = path.endswith(world.spec.collection) and b"poison" in world.line.requests[-1].body
        return refusal if holds_bad else body

    world.line.rewrite = refuse
    cities = ["Bern", "Basel", "poison", "Chur"]
    outcomes = world.write(
        *(world.to(WriteKind.FIELDS, r, fields={"CITY": city}) for r, city in zip(records, cities, strict=True))
    )

    assert [(o.result, o.field) for o in outcomes] == [
        (Result.APPLIED, None),
        (Result.APPLIED, None),
        (Result.INVALID, "CITY"),
        (Result.APPLIED, None),
    ]


def test_no_outcome_of_a_failing_system_holds_the_key() -> None:
    world = World(numbered(1))
    record = world.records()[_A]
    world.line.lose = lambda _method, _path: True
    [outcome] = world.write(_out(world, record))

    assert outcome.result is Result.UNKNOWN
    assert world.settings.api_key.get_secret_value() not in outcome.message
    assert _A not in outcome.message


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["ok", "ok", "ok", "lost", "refused"]), max_size=30),
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["out", "in", "tick", "untick", "city", "new"])), max_size=8),
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["unsubscribe", "archive", "forget", "bounce"])), max_size=3),
)
def test_no_outcome_claims_what_is_not_so(
    faults: list[str], wishes: list[tuple[int, str]], events: list[tuple[int, str]]
) -> None:
    world = World(numbered(6))
    records = world.records()
    for number, event in dict(events).items():
        world.act(event, f"person{number}@example.org")
    wishes = list({number: (number, wish) for number, wish in wishes}.values())
    before = {number: world.mock.act("view", email=_address(number, wish)) for number, wish in wishes}
    course = iter(faults)
    now = "ok"

    def step(_method: str, _path: str) -> bool:
        nonlocal now
        now = next(course, "ok")
        return now == "refused"

    world.line.refuse = step
    world.line.lose = lambda _method, _path: now == "lost"
    outcomes = world.write(*(_wish(world, records, number, wish) for number, wish in wishes))

    for (number, wish), outcome in zip(wishes, outcomes, strict=True):
        after = world.mock.act("view", email=_address(number, wish))
        if outcome.result is Result.APPLIED:
            assert after is not None
            assert _is_so(after, wish)
        elif outcome.result is not Result.UNKNOWN:
            assert after == before[number]


def _address(number: int, wish: str) -> str:
    return f"{'new' if wish == 'new' else 'person'}{number}@example.org"


def _wish(world: World, records: dict[str, Record], number: int, wish: str) -> Write:
    if wish == "new":
        return world.create(_address(number, wish), fields={"CITY": "Bern"})
    record = records[_address(number, wish)]
    if wish in ("tick", "untick"):
        return world.to(WriteKind.TOPICS, record, topics={NEWS: wish == "tick"})
    if wish == "city":
        return world.to(WriteKind.FIELDS, record, fields={"CITY": "Bern"})
    return _out(world, record) if wish == "out" else _in(world, record)


def _is_so(view: dict[str, Any], wish: str) -> bool:
    return bool(
        {
            "out": view["word"] == "unsubscribed",
            "in": view["word"] == "subscribed",
            "tick": view["topics"]["news"] is True,
            "untick": view["topics"]["news"] is False,
            "city": view["fields"]["city"] == "Bern",
            "new": view["word"] == "subscribed" and view["fields"]["city"] == "Bern",
        }[wish]
    )
