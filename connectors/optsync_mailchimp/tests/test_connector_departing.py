"""Opt-outs that a member does not show any more, found in the activity feed: one by one, and many by a batch."""

import io
import json
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from optsync.connect.contract import Departure, Departures
from optsync.connect.mock import MockRequest, MockResponse
from optsync.errors import SystemUnavailable
from optsync.model.record import Origin
from optsync_mailchimp.departing import FEW
from optsync_mailchimp.tests.world import START, World, numbered

_A, _B = "person0@example.org", "person1@example.org"


def ask(world: World, asked: Mapping[str, datetime | None], ticket: str | None = None) -> Departures:
    return world.connector.departures(world.spec.collection, asked, ticket)


def one(world: World, items: Sequence[Any], since: datetime | None = None) -> Departure | None:
    """What is told of somebody whose feed has these items."""
    record = world.records()[_A].id

    def answer(_method: str, path: str, body: Any) -> Any:
        return {"activity": list(items)} if path.endswith("/activity-feed") else body

    world.line.rewrite = answer
    return ask(world, {record: since}).told[record]


def unsub(hours: float = 1, **more: Any) -> dict[str, Any]:
    at = (START + timedelta(hours=hours)).isoformat()
    usual = {"is_admin_unsubscribed": False, "unsubscribe_reason": "None given"}
    return {"activity_type": "unsub", "created_at_timestamp": at, **usual, **more}


def crowd(count: int = FEW + 5) -> tuple[World, dict[str, datetime | None]]:
    world = World(numbered(count))
    return world, {record.id: START for record in world.records().values()}


@pytest.mark.parametrize(
    ("parts", "origin", "reason"),
    [
        ({}, Origin.PERSON, "None given"),
        ({"unsubscribe_reason": "N/A (Unsubscribed by admin)", "is_admin_unsubscribed": True}, Origin.ADMIN, None),
        ({"is_admin_unsubscribed": True}, Origin.ADMIN, "None given"),
        ({"unsubscribe_reason": "N/A (Unsubscribed by admin)"}, Origin.ADMIN, None),
        ({"unsubscribe_reason": "Reported as spam"}, Origin.COMPLAINT, None),
        ({"unsubscribe_reason": ""}, Origin.PERSON, None),
        ({"unsubscribe_reason": None, "is_admin_unsubscribed": None}, Origin.PERSON, None),
        ({"is_admin_unsubscribed": "true"}, Origin.PERSON, "None given"),
    ],
)
def test_whose_doing_it_was_is_as_the_feed_says(parts: dict[str, Any], origin: Origin, reason: str | None) -> None:
    found = one(World(numbered(1)), [unsub(**parts)])

    assert found is not None
    assert (found.origin, found.at) == (origin, START + timedelta(hours=1))
    assert found.reason == (reason or parts["unsubscribe_reason"] or None)


def test_the_newest_opt_out_is_told_with_what_the_feed_says_besides() -> None:
    found = one(World(numbered(1)), [unsub(1), unsub(3, campaign_id="c1", other=None, count=7), unsub(2)])

    assert found is not None
    assert found.at == START + timedelta(hours=3)
    assert found.detail == {
        "activity_type": "unsub",
        "created_at_timestamp": found.at.isoformat(),
        "unsubscribe_reason": "None given",
        "campaign_id": "c1",
    }


@pytest.mark.parametrize(
    ("items", "is_told"),
    [
        ([unsub(1), {**unsub(2), "activity_type": "signup"}], False),
        ([unsub(2), {**unsub(1), "activity_type": "signup"}], True),
        ([unsub(1), {**unsub(1), "activity_type": "signup"}], True),
        ([unsub(1), {**unsub(2), "activity_type": "signup"}, unsub(3)], True),
        ([unsub(1), {**unsub(2), "activity_type": "generic_signup", "signup_category": "API"}], True),
        ([unsub(1), {**unsub(2), "activity_type": "open"}], True),
        ([unsub(1), {**unsub(0), "created_at_timestamp": "soon"}], True),
        ([{**unsub(1), "activity_type": "bounce"}, "nonsense", None], False),
        ([], False),
    ],
)
def test_only_a_later_sign_up_by_the_person_ends_an_opt_out(items: list[Any], is_told: bool) -> None:
    assert (one(World(numbered(1)), items) is not None) is is_told


@pytest.mark.parametrize("at", ["soon", "", None, 1795300000])
def test_an_opt_out_without_a_time_is_not_taken_for_none(at: Any) -> None:
    world = World(numbered(1))
    with pytest.raises(SystemUnavailable, match="asked again"):
        one(world, [{**unsub(1), "created_at_timestamp": at}, {**unsub(2), "activity_type": "signup"}])


def test_an_opt_out_counts_from_the_moment_on_that_is_asked_about() -> None:
    at = START + timedelta(hours=1)
    assert one(World(numbered(1)), [unsub(1)], at) is not None
    assert one(World(numbered(1)), [unsub(1)], at + timedelta(seconds=1)) is None


def test_whom_the_feed_does_not_show_though_they_are_there_is_not_taken_for_quiet() -> None:
    world = World(numbered(1))
    record = world.records()[_A].id
    refuse = world.mock.handle

    def without(request: MockRequest) -> MockResponse:
        answer = refuse(request)
        gone = {"title": "Resource Not Found", "status": 404, "detail": ""}
        is_feed = request.path.endswith("/activity-feed")
        return MockResponse(status=404, headers=answer.headers, body=json.dumps(gone).encode()) if is_feed else answer

    world.mock.handle = without  # type: ignore[method-assign]
    with pytest.raises(SystemUnavailable, match="asked again"):
        ask(world, {record: None})
    world.act("forget", _A)
    assert ask(world, {record: None}).told == {record: None}


@pytest.mark.parametrize(("broken", "heard"), [((0,), 4), ((3,), 4), ((1, 2), 1), ((0, 1), 0)])
def test_one_who_cannot_be_read_does_not_keep_the_others_from_being_heard(broken: tuple[int, ...], heard: int) -> None:
    world = World(numbered(5))
    asked: dict[str, datetime | None] = dict.fromkeys(r.id for r in world.records().values())
    lost = {list(asked)[number] for number in broken}

    def rewrite(_method: str, path: str, body: Any) -> Any:
        return {"activity": None} if path.endswith("feed") and path.split("/")[-2] in lost else body

    world.line.rewrite = rewrite
    if heard:
        told = ask(world, asked).told
        assert (len(told), set(told) & lost) == (heard, set())
    else:
        with pytest.raises(SystemUnavailable):
            ask(world, asked)


def test_a_feed_that_is_none_is_an_error() -> None:
    world = World(numbered(1))
    record = world.records()[_A].id
    world.line.rewrite = lambda _method, path, body: {"activity": None} if path.endswith("feed") else body

    with pytest.raises(SystemUnavailable):
        ask(world, {record: None})


def test_a_few_are_asked_one_by_one_and_more_by_one_batch() -> None:
    world, asked = crowd(FEW)
    assert ask(world, asked) == Departures(told=dict.fromkeys(asked))
    assert world.calls("GET", "/activity-feed") == FEW

    world, asked = crowd(FEW + 1)
    given = ask(world, asked)
    assert (given.told, bool(given.ticket)) == ({}, True)
    assert (world.calls("GET", "/activity-feed"), world.calls("POST", "/batches")) == (0, 1)
    operations = world.bodies()[-1]["operations"]
    assert {o["operation_id"] for o in operations} == set(asked)
    assert {o["method"] for o in operations} == {"GET"}
    assert (
        operations[0]["path"] == f"/lists/{world.spec.collection}/members/{operations[0]['operation_id']}/activity-feed"
    )
    assert operations[0]["params"]["count"] == 1000


def test_a_batch_is_waited_for_with_one_call_and_told_when_it_is_finished() -> None:
    world, asked = crowd()
    records = world.records()
    world.clock.advance(60)
    world.act("unsubscribe", _B)
    world.act("archive", _B)
    ticket = ask(world, asked).ticket
    before = world.connector.calls
    assert ask(world, asked, ticket) == Departures(told={}, ticket=ticket)
    assert world.connector.calls == before + 1

    world.clock.advance(60)
    told = ask(world, asked, ticket)
    assert world.connector.calls == before + 3
    assert told.ticket is None
    assert told.told.keys() == asked.keys()
    assert [rid for rid, departure in told.told.items() if departure] == [records[_B].id]
    assert ask(world, {records[_A].id: START}, ticket).told == {records[_A].id: None}


def test_the_key_does_not_travel_to_where_the_results_lie_and_their_clock_is_not_the_vendors() -> None:
    world, asked = crowd()
    ticket = ask(world, asked).ticket
    world.clock.advance(60)
    offset = world.connector.clock_offset
    ask(world, asked, ticket)

    fetched = world.line.requests[-1]
    assert "/batch-results/" in fetched.path
    assert "authorization" not in {name.lower() for name in fetched.headers}
    assert world.connector.clock_offset == offset


def test_a_batch_that_is_gone_is_put_together_again() -> None:
    world, asked = crowd()
    given = ask(world, asked, "0123456789")

    assert (given.told, given.ticket not in {None, "0123456789"}) == ({}, True)


@pytest.mark.parametrize("url", ["", "ftp://storage.example/x", "http://storage.example/x"])
def test_a_link_that_is_none_is_an_error(url: str) -> None:
    world, asked = crowd()
    ticket = ask(world, asked).ticket
    world.clock.advance(60)

    def rewrite(method: str, path: str, body: Any) -> Any:
        return {**body, "response_body_url": url} if method == "GET" and "/batches/" in path else body

    world.line.rewrite = rewrite
    with pytest.raises(SystemUnavailable):
        ask(world, asked, ticket)


def packed(files: Sequence[bytes], mode: Any = "w:gz") -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=mode) as archive:
        for number, content in enumerate(files):
            info = tarfile.TarInfo(f"./{number}.json")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


def damaged() -> bytes:
    """Whole up to the middle of an answer."""
    pressed = zlib.compressobj(wbits=31)
    whole = packed([b"[]", b"[%s1]" % (b"1," * 30_000)], "w")
    return pressed.compress(whole[:20_000]) + pressed.flush(zlib.Z_FULL_FLUSH) + b"\xff" * 50


def answer_of(record: str, **parts: Any) -> dict[str, Any]:
    body = {"activity": [unsub(1)], "list_id": World(numbered(1)).spec.collection}
    return {"status_code": 200, "operation_id": record, "response": json.dumps(body), **parts}


@pytest.mark.parametrize(
    ("parts", "is_told"),
    [
        ({}, True),
        ({"status_code": 500}, False),
        ({"status_code": 404}, False),
        ({"response": ""}, False),
        ({"response": "{"}, False),
        ({"response": "[]"}, False),
        ({"response": json.dumps({"activity": None})}, False),
        ({"response": json.dumps({"activity": [], "list_id": "another"})}, False),
        ({"operation_id": "somebody else"}, False),
    ],
)
def test_whose_answer_in_a_batch_is_none_is_asked_about_again(parts: dict[str, Any], is_told: bool) -> None:
    world, asked = crowd()
    record, other = list(asked)[:2]
    found = collected(
        world, asked, packed([b"", b"5", json.dumps([answer_of(record, **parts), answer_of(other)]).encode()])
    )

    assert set(found.told) == ({record, other} if is_told else {other})
    assert found.ticket is None
    assert found.told[other] is not None


def test_results_that_were_unpacked_on_the_way_are_read_as_well() -> None:
    world, asked = crowd()
    record = next(iter(asked))
    found = collected(world, asked, packed([json.dumps([answer_of(record)]).encode()], "w"))

    assert found.told[record] is not None


def test_where_a_batch_has_no_answer_one_is_asked_for_the_reason() -> None:
    world, asked = crowd()
    record = next(iter(asked))
    assert collected(world, asked, packed([])).told == {record: None}

    world, asked = crowd()
    world.line.rewrite = lambda _method, path, body: {"activity": None} if path.endswith("feed") else body
    with pytest.raises(SystemUnavailable, match="could not be read"):
        collected(world, asked, packed([]))


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", packed([b"{"]), packed([b"[]"] * 3)[:-20], damaged(), packed([b'["\xff"]'])],
    # An archive has the time in it, and a name must not.
    ids=["nothing", "text", "half an answer", "half an archive", "damaged", "no UTF-8"],
)
def test_an_archive_that_is_none_has_answered_nothing(content: bytes) -> None:
    world, asked = crowd()

    with pytest.raises(SystemUnavailable, match="unpacked"):
        collected(world, asked, content)


def collected(world: World, asked: Mapping[str, datetime | None], content: bytes) -> Departures:
    """What is told where the results are these bytes."""
    ticket = ask(world, asked).ticket
    world.clock.advance(60)
    handle = world.mock.handle

    def stored(request: MockRequest) -> MockResponse:
        answer = handle(request)
        is_results = "/batch-results/" in request.path
        return MockResponse(status=200, headers=answer.headers, body=content) if is_results else answer

    world.mock.handle = stored  # type: ignore[method-assign]
    return ask(world, asked, ticket)
