"""Writes when answers get lost, calls are refused as a whole, or the system goes away."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optsync.errors import CredentialsRefused, SystemUnavailable
from optsync.model.change import Fact, Outcome, Result, Write, WriteKind
from optsync.model.record import Record, Status
from optsync_mailchimp.tests.world import NEWS, World, numbered

_A, _B, _C = "person0@example.org", "person1@example.org", "person2@example.org"


def _results(outcomes: list[Outcome]) -> set[tuple[Result, Fact | None]]:
    return {(outcome.result, outcome.fact) for outcome in outcomes}


def test_an_opt_out_whose_answer_is_lost_once_is_simply_repeated() -> None:
    world = World(numbered(2))
    records = world.records()
    lost = iter([True])
    world.line.lose = lambda method, _path: method == "POST" and next(lost, False)

    assert _results(world.write(*(world.out(r) for r in records.values()))) == {(Result.APPLIED, None)}
    assert world.calls("POST") == 2


def test_an_opt_in_whose_answer_is_lost_is_unknown_and_never_sent_again() -> None:
    world = World(numbered(1, Status.UNKNOWN))
    record = world.records()[_A]
    world.line.lose = lambda method, _path: method == "PATCH"
    [outcome] = world.write(world.into(record))

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


@pytest.mark.parametrize("is_left_out", [False, True])
def test_a_create_that_may_have_been_made_stays_unknown_where_its_repetition_fails(is_left_out: bool) -> None:
    world = World({})

    def leave_out(method: str, _path: str, body: Any) -> Any:
        if method == "POST":
            world.mock.act("account", state="UserDisabled")
        return {**body, "new_members": []} if is_left_out and method == "POST" else body

    def lose(method: str, _path: str) -> bool:
        if is_first := method == "POST" and not is_left_out and world.calls("POST") == 1:
            world.mock.act("account", state="UserDisabled")
        return is_first

    world.line.rewrite, world.line.lose = leave_out, lose
    [outcome] = world.write(world.create("new@example.org"))

    assert world.mock.act("view", email="new@example.org") is not None
    assert outcome.result is Result.UNKNOWN


def test_a_request_whose_answer_is_lost_is_never_sent_twice() -> None:
    world = World({})
    world.line.lose = lambda method, _path: method == "POST"
    [outcome] = world.write(world.create("new@example.org", Status.PENDING))

    assert outcome.result is Result.APPLIED
    assert outcome.record is not None
    assert outcome.record.status is Status.PENDING
    assert world.calls("POST") == 1


@pytest.mark.parametrize(
    ("status", "is_made", "expected", "calls"),
    [
        (Status.PENDING, True, Result.APPLIED, 1),
        (Status.PENDING, False, Result.UNKNOWN, 1),
        (Status.IN, True, Result.APPLIED, 1),
        (Status.IN, False, Result.APPLIED, 2),
    ],
)
def test_a_request_that_the_answer_leaves_out_is_not_sent_twice_either(
    status: Status, is_made: bool, expected: Result, calls: int
) -> None:
    world = World({})

    def leave_out(method: str, path: str, body: Any) -> Any:
        if method != "POST" or not path.endswith(world.spec.collection):
            return body
        if not is_made:
            world.mock.act("change_address", email="new@example.org", to="other@example.org")
        return {**body, "new_members": []}

    world.line.rewrite = leave_out
    [outcome] = world.write(world.create("new@example.org", status))

    assert outcome.result is expected
    assert world.calls("POST") == calls


def test_a_request_that_has_an_error_of_its_own_was_not_made_and_is_sent_again() -> None:
    world = World({})

    def refuse(method: str, path: str, body: Any) -> Any:
        if method != "POST" or not path.endswith(world.spec.collection):
            return body
        world.mock.act("change_address", email="new@example.org", to="other@example.org")
        error = {"email_address": "new@example.org", "error": "An error occurred.", "error_code": "ERROR_GENERIC"}
        return {**body, "new_members": [], "errors": [error]}

    world.line.rewrite = refuse
    [outcome] = world.write(world.create("new@example.org", Status.PENDING))

    assert (outcome.result, world.shows("new@example.org")["status"]) == (Result.APPLIED, Status.PENDING)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("ERROR_GENERIC", f"{_A} looks fake or invalid, please enter a real email address."),
        ("ERROR_GENERIC", f"{_A} has signed up to a lot of lists very recently"),
        ("ERROR_GENERIC", f"{_A} was permanently deleted and cannot be re-imported."),
        ("ERROR_CONTACT_EXISTS", f"{_A} is already a list member"),
    ],
)
def test_an_opt_out_that_is_refused_in_bulk_for_its_address_goes_by_the_member(code: str, text: str) -> None:
    world = World(numbered(2))
    a, b = (world.records()[address] for address in (_A, _B))

    def refuse(method: str, path: str, body: Any) -> Any:
        if method != "POST":
            return body
        world.act("flip_in", _A)
        kept = [member for member in body["updated_members"] if member["email_address"] != _A]
        error = {"email_address": _A, "error": text, "error_code": code, "field": "", "field_message": ""}
        return {**body, "updated_members": kept, "errors": [error]}

    world.line.rewrite = refuse
    outcomes = world.write(world.out(a), world.out(b))

    assert [one.result for one in outcomes] == [Result.APPLIED, Result.APPLIED]
    assert world.shows(_A)["status"] == Status.OUT


@pytest.mark.parametrize("part", ["members", "tags", "errors", "updated_members", "new_members", "email_addresses"])
@pytest.mark.parametrize("shown", [7, "text", ["text"], [None, ["text"]]])
def test_a_list_that_is_none_in_an_answer_loses_no_outcome(part: str, shown: Any) -> None:
    world = World(numbered(2))
    people = [world.records()[address] for address in (_A, _B)]
    moves = [world.to(WriteKind.TAG, record, tags={"red": True}) for record in people]

    def odd(_method: str, path: str, body: Any) -> Any:
        if part == "email_addresses":
            return {**body, "errors": [{"email_addresses": shown}]} if "/segments/" in path else body
        return {**body, part: shown} if part in body else body

    world.line.rewrite = odd
    tried: list[Callable[[], Sequence[Outcome]]] = [
        lambda: world.write(*map(world.out, people)),
        lambda: world.write(world.create("new@example.org"), world.create("newer@example.org")),
        lambda: world.connector.tag(moves, world.spec),
    ]
    for attempt in tried:
        try:
            assert len(attempt()) == 2
        except SystemUnavailable:
            assert part in {"members", "tags"}


def test_a_stamp_beyond_the_calendar_is_none() -> None:
    world = World(numbered(1))

    def late(_method: str, _path: str, body: Any) -> Any:
        for member in body.get("members", ()):
            member["timestamp_opt"] = "9999-12-31T23:59:59-05:00"
        return body

    world.line.rewrite = late
    assert world.records()[_A].opted_in_at is None


def test_after_a_failure_of_the_system_the_rest_is_not_sent() -> None:
    world = World(numbered(3))
    a, b, c = (world.records()[address] for address in (_A, _B, _C))

    def deactivate(_count: int) -> None:
        world.mock.act("account", state="UserDisabled")

    world.line.after = deactivate
    outcomes = world.write(
        world.out(a),
        world.to(WriteKind.TOPICS, b, topics={NEWS: False}),
        world.to(WriteKind.FIELDS, c, fields={"CITY": "x"}),
    )

    assert [o.result for o in outcomes] == [Result.APPLIED, Result.FAILED, Result.FAILED]


def test_refused_credentials_are_raised_while_nothing_was_sent() -> None:
    world = World(numbered(1))
    record = world.records()[_A]
    world.mock.act("account", state="UserDisabled")

    with pytest.raises(CredentialsRefused):
        world.write(world.out(record))


def test_a_system_that_cannot_be_reached_is_said_to_be_so_and_loses_no_outcome() -> None:
    world = World(numbered(2))
    a, b = world.records().values()
    world.line.refuse = lambda method, _path: method == "GET"
    with pytest.raises(SystemUnavailable):
        world.write(world.create("new@example.org"))

    [outcome] = world.write(world.out(a))
    assert outcome.result is Result.APPLIED
    first, second = world.write(world.out(b), world.create("new@example.org"))
    assert (first.result, second.result) == (Result.APPLIED, Result.FAILED)


def test_an_audience_that_vanished_makes_nobody_gone() -> None:
    world = World(numbered(1))
    record = world.records()[_A]
    world.mock.account.audiences.clear()
    [outcome] = world.write(world.out(record))

    assert (outcome.result, outcome.fact) == (Result.FAILED, None)


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


@pytest.mark.parametrize("field", ["", "members.item:0.email_address", "members.item:0.status", "ADDRESS"])
def test_opt_outs_go_by_the_member_where_the_call_is_refused_as_a_whole(field: str) -> None:
    world = World(numbered(3))
    records = list(world.records().values())
    errors = [{"field": field, "message": "Data did not match any of the schemas described in anyOf."}]
    refusal = {"title": "Invalid Resource", "status": 400, "detail": "", "errors": errors if field else []}

    def refuse(method: str, path: str, body: Any) -> Any:
        if method != "POST" or not path.endswith(world.spec.collection):
            return body
        for item in msgspec.json.decode(world.line.requests[-1].body)["members"]:
            world.act("flip_in", item["email_address"])
        return refusal

    world.line.rewrite = refuse
    assert _results(world.write(*map(world.out, records))) == {(Result.APPLIED, None)}
    assert {world.shows(record.addresses[0])["status"] for record in records} == {Status.OUT}


@pytest.mark.parametrize("is_tick", [False, True])
def test_what_permits_and_is_left_out_of_the_answer_is_unknown_and_never_sent_again(is_tick: bool) -> None:
    world = World(numbered(4, Status.UNKNOWN))
    records = list(world.records().values())

    def leave_out(method: str, path: str, body: Any) -> Any:
        return {**body, "updated_members": body["updated_members"][1:]} if method == "POST" else body

    world.line.rewrite = leave_out
    ticks = [world.to(WriteKind.TOPICS, record, topics={NEWS: True}) for record in records]
    outcomes = world.write(*(ticks if is_tick else map(world.into, records)))

    assert [o.result for o in outcomes] == [Result.UNKNOWN, Result.APPLIED, Result.APPLIED, Result.APPLIED]
    assert (world.calls("POST"), world.calls("PATCH")) == (1, 0)


def test_no_outcome_of_a_failing_system_holds_the_key() -> None:
    world = World(numbered(1))
    record = world.records()[_A]
    world.line.lose = lambda _method, _path: True
    [outcome] = world.write(world.out(record))

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
    return world.out(record) if wish == "out" else world.into(record)


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


def test_an_empty_answer_about_a_member_is_no_answer() -> None:
    """Taken for nobody, it would let an opt-in go out without another look at the person."""
    world = World(numbered(1))
    record = world.records()[_A]
    world.line.rewrite = lambda _method, path, body: {} if "/members/" in path else body
    with pytest.raises(SystemUnavailable):
        world.connector.read_ids(world.spec, [record.id])
