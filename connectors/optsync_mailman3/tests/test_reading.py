from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import responses

from optsync.errors import CredentialsRefused, SystemUnavailable
from optsync.model.record import Origin, Status
from optsync_mailman3.tests.installation import (
    BASE,
    LIST,
    SPEC,
    asked_to_leave,
    bodies,
    collection,
    connector,
    has,
    row,
    shows,
    waiting,
)


@pytest.fixture
def server() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def test_a_read_tells_every_delivery_status_apart(server: responses.RequestsMock) -> None:
    waiting(server, {"email": "new@example.com", "token_owner": "subscriber", "when": "2026-03-01T08:00:00"})
    has(
        server,
        enabled=[row("in@example.com", name="Ina")],
        by_user=[row("out@example.com")],
        by_moderator=[row("held@example.com")],
        by_bounces=[row("dead@example.com")],
    )
    pages = list(connector().read(SPEC, None))
    shown = {record.id: (record.status, record.origin) for page in pages for record in page.records}
    assert shown == {
        "in@example.com": (Status.IN, Origin.UNKNOWN),
        "out@example.com": (Status.OUT, Origin.PERSON),
        "held@example.com": (Status.OUT, Origin.ADMIN),
        "dead@example.com": (Status.BOUNCED, Origin.UNKNOWN),
        "new@example.com": (Status.PENDING, Origin.UNKNOWN),
    }
    assert [page.is_last for page in pages] == [False, False, False, True]
    assert (pages[-1].cursor, pages[-1].is_full, pages[-1].is_complete) == (None, True, True)


def test_a_read_whose_counts_do_not_add_up_is_not_complete(server: responses.RequestsMock) -> None:
    waiting(server)
    has(server, 1, 1, 2, enabled=[row("in@example.com")])
    assert [page.is_complete for page in connector().read(SPEC, None)] == [False]


def test_rows_that_move_between_two_searches_make_a_read_incomplete(server: responses.RequestsMock) -> None:
    waiting(server)
    has(server, 2, enabled=[row("in@example.com")])
    assert list(connector().read(SPEC, None))[-1].is_complete is False


def test_a_status_that_no_search_knows_makes_nobody_subscribed(server: responses.RequestsMock) -> None:
    """The roster shows two members, the searches by status only one of them."""
    waiting(server)
    has(server, enabled=[row("in@example.com")], on_holiday=[row("new@example.com")])
    records = [record for page in connector().read(SPEC, None) for record in page.records]
    assert [record.id for record in records] == ["in@example.com"]


def test_a_person_who_is_on_the_list_twice_is_shown_once_and_restricted(server: responses.RequestsMock) -> None:
    waiting(server)
    has(server, enabled=[row("twice@example.com", "m1")], by_user=[row("twice@example.com", "m2")])
    pages = list(connector().read(SPEC, None))
    assert [record.status for page in pages for record in page.records] == [Status.OUT]
    assert pages[-1].is_complete


def test_a_member_with_a_left_over_request_is_no_pending_one(server: responses.RequestsMock) -> None:
    waiting(server, {"email": "in@example.com", "token_owner": "moderator"})
    has(server, enabled=[row("in@example.com")])
    records = [record for page in connector().read(SPEC, None) for record in page.records]
    assert [record.status for record in records] == [Status.IN]


def test_a_row_without_an_address_is_set_aside_alone(server: responses.RequestsMock) -> None:
    waiting(server)
    has(server, enabled=[{"member_id": "m1"}, row("in@example.com")])
    (page,) = connector().read(SPEC, None)
    assert ([fault.field for fault in page.faults], len(page.records)) == (["email"], 1)


def test_an_unusable_cursor_starts_a_full_read(server: responses.RequestsMock) -> None:
    waiting(server)
    has(server, enabled=[row("in@example.com")])
    for cursor in ("rubbish", "[0, 1, 1]", "[1]", '{"a": 1}', '["1", 1, 1]'):
        pages = list(connector().read(SPEC, cursor))
        assert [record.id for page in pages for record in page.records] == ["in@example.com"]


def test_a_list_that_is_gone_is_a_failure_and_not_an_empty_list(server: responses.RequestsMock) -> None:
    server.get(f"{BASE}/lists/{LIST}/roster/member", status=404, json={"title": "404 Not Found"})
    server.get(f"{BASE}/lists/{LIST}/requests", status=404, json={"title": "404 Not Found"})
    server.get(f"{BASE}/members/find", json=collection(()))
    with pytest.raises(SystemUnavailable):
        list(connector().read(SPEC, None))
    with pytest.raises(SystemUnavailable):
        connector().read_ids(SPEC, ["in@example.com"])


def test_a_proxys_page_about_a_member_does_not_mean_that_they_have_left(server: responses.RequestsMock) -> None:
    server.get(f"{BASE}/members/find", json=collection([row("in@example.com")]))
    server.get(f"{BASE}/members/m1/all/preferences", status=404, body="\n<html>Not Found</html>")
    waiting(server)
    with pytest.raises(SystemUnavailable):
        connector().read_ids(SPEC, ["in@example.com"])


@pytest.mark.parametrize(("member", "preferences"), [({"member_id": "m1"}, {}), ({}, {"delivery_status": "enabled"})])
def test_an_answer_that_leaves_out_what_was_asked_for_is_no_look_at_a_member(
    server: responses.RequestsMock, member: dict[str, str], preferences: dict[str, str]
) -> None:
    """It would let an opt-in go out without one."""
    server.get(f"{BASE}/members/find", json=collection([{"email": "in@example.com", **member}]))
    server.get(f"{BASE}/members/m1/all/preferences", json=preferences)
    waiting(server)
    with pytest.raises(SystemUnavailable):
        connector().read_ids(SPEC, ["in@example.com"])


@pytest.mark.parametrize(
    "body", [{"status": "ok"}, {"total_size": "1"}, {"total_size": 1, "entries": ["in@example.com"]}]
)
def test_an_answer_without_rows_is_a_failure_and_nobody_has_left(server: responses.RequestsMock, body: object) -> None:
    server.get(f"{BASE}/members/find", json=body)
    server.get(f"{BASE}/lists/{LIST}/roster/member", json=body)
    server.get(f"{BASE}/lists/{LIST}/requests", json=body)
    with pytest.raises(SystemUnavailable):
        connector().read_ids(SPEC, ["in@example.com"])
    with pytest.raises(SystemUnavailable):
        list(connector().read(SPEC, None))


def test_a_row_that_names_nobody_is_a_failure(server: responses.RequestsMock) -> None:
    waiting(server, {"token_owner": "subscriber"})
    has(server, enabled=[row("in@example.com")])
    server.get(f"{BASE}/lists", json=collection([{"display_name": "News"}]))
    with pytest.raises(SystemUnavailable):
        list(connector().read(SPEC, None))
    with pytest.raises(SystemUnavailable):
        connector().describe()


def test_a_look_up_leaves_out_who_is_not_there(server: responses.RequestsMock) -> None:
    shows(server, "in@example.com", m1="enabled")
    shows(server, "gone@example.com")
    waiting(server, {"email": "new@example.com", "token_owner": "subscriber"})
    shows(server, "new@example.com")
    ids = ["gone@example.com", "in@example.com", "new@example.com"]
    shown = [(record.id, record.status) for record in connector().read_ids(SPEC, ids)]
    assert shown == [("in@example.com", Status.IN), ("new@example.com", Status.PENDING)]


def test_a_look_up_shows_the_most_restrictive_of_two_memberships(server: responses.RequestsMock) -> None:
    shows(server, "twice@example.com", m1="enabled", m2="by_user")
    (record,) = connector().read_ids(SPEC, ["twice@example.com"])
    assert record.status is Status.OUT


def test_an_asterisk_in_an_address_matches_nobody_else(server: responses.RequestsMock) -> None:
    server.get(f"{BASE}/members/find", json=collection([row("starlight@example.com")]))
    waiting(server)
    assert connector().read_ids(SPEC, ["star*@example.com"]) == []


def test_many_look_ups_read_the_list_once(server: responses.RequestsMock) -> None:
    people = [f"p{number}@example.com" for number in range(30)]
    waiting(server)
    has(server, enabled=[row(person) for person in people])
    mailman = connector()
    assert [record.id for record in mailman.read_ids(SPEC, people)] == people
    assert mailman.calls < 13


def test_a_wrong_password_is_told_from_a_server_that_is_down(server: responses.RequestsMock) -> None:
    server.get(f"{BASE}/system/versions", status=401, json={"title": "401 Unauthorized"})
    with pytest.raises(CredentialsRefused) as refused:
        connector().check([])
    assert "opensesame" not in str(refused.value)


def test_a_failing_read_is_tried_again(server: responses.RequestsMock) -> None:
    server.get(f"{BASE}/lists", status=503)
    server.get(f"{BASE}/lists", json=collection([{"list_id": LIST, "fqdn_listname": "news@lists.example"}]))
    (info,) = connector().describe()
    assert (info.id, [field.name for field in info.fields]) == (LIST, ["display_name"])


@pytest.mark.parametrize("empty", ["system/versions", "system/configuration/mailman", f"lists/{LIST}"])
def test_an_empty_answer_is_neither_another_account_nor_a_list_that_is_not_there(
    server: responses.RequestsMock, empty: str
) -> None:
    """A gateway whose server is being exchanged: another account would need somebody to rebase it."""
    answers = {
        "system/versions": {"mailman_version": "GNU Mailman 3.3.10"},
        "system/configuration/mailman": {"site_owner": "owner@lists.example"},
        f"lists/{LIST}": {"list_id": LIST},
        f"lists/{LIST}/config": {"send_goodbye_message": False},
    }
    for path, answer in answers.items():
        server.get(f"{BASE}/{path}", json={} if path == empty else answer)
    with pytest.raises(SystemUnavailable):
        connector().check([SPEC])


def test_rows_that_all_come_with_every_page_are_read_to_an_end(
    server: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optsync_mailman3.client.PAGE", 2)
    server.get(f"{BASE}/lists", json=collection([{"list_id": f"l{n}.lists.example"} for n in range(3)]))
    assert {info.id for info in connector().describe()} == {f"l{n}.lists.example" for n in range(3)}


def test_check_names_what_does_not_fit(server: responses.RequestsMock) -> None:
    server.get(f"{BASE}/system/versions", json={"mailman_version": "GNU Mailman 3.3.10", "api_version": "3.1"})
    server.get(f"{BASE}/system/configuration/mailman", json={"site_owner": "owner@lists.example"})
    server.get(f"{BASE}/lists/{LIST}/config", json={"send_goodbye_message": True, "send_welcome_message": False})
    server.get(f"{BASE}/lists/{LIST}", json={"list_id": LIST})
    server.get(f"{BASE}/lists/none.lists.example", status=404, json={"title": "404 Not Found"})
    spec = SPEC.__class__(collection=LIST, fields=frozenset({"city"}), topics=frozenset({"offers"}))
    health = connector().check([spec, SPEC.__class__(collection="none.lists.example")])
    assert health.account_id == "127.0.0.1:8001 owner@lists.example"
    found = [(problem.severity.value, problem.field) for problem in health.problems]
    assert found == [("error", "city"), ("error", "offers"), ("warning", None), ("error", None)]
    assert bodies(server, "POST") == []


def test_who_asked_to_leave_and_waits_for_a_moderator_has_said_no(server: responses.RequestsMock) -> None:
    """Mailman shows them as an ordinary member for as long as no moderator looks."""
    asked_to_leave(server, {"email": "gone@example.com", "token": "t", "token_owner": "moderator"})
    waiting(server)
    people = [row("gone@example.com", "m1", "Gone"), row("in@example.com", "m2")]
    has(server, enabled=people)
    (page,) = connector().read(SPEC, None)
    left = next(record for record in page.records if record.id == "gone@example.com")
    assert (left.status, left.origin, left.status_at) == (
        Status.OUT,
        Origin.PERSON,
        datetime(2026, 3, 1, 7, tzinfo=UTC),
    )
    assert page.records[1].status is Status.IN
    assert [record.is_asked for record in page.records] == [True, False]
    assert page.is_complete


def test_who_asked_to_leave_is_out_in_a_look_up_too(server: responses.RequestsMock) -> None:
    asked_to_leave(server, {"email": "gone@example.com", "token": "t", "token_owner": "moderator"})
    shows(server, "gone@example.com", m1="enabled")
    (record,) = connector().read_ids(SPEC, ["gone@example.com"])
    assert (record.status, record.origin, record.is_asked) == (Status.OUT, Origin.PERSON, True)


def test_a_look_up_asks_who_wants_to_leave_before_it_looks_at_the_members(server: responses.RequestsMock) -> None:
    """The other way round somebody whom a moderator lets go in between would be shown as an ordinary member."""
    asked_to_leave(server)
    shows(server, "in@example.com", m1="enabled")
    connector().read_ids(SPEC, ["in@example.com"])
    paths = [str(call.request.url).removeprefix(BASE).partition("?")[0] for call in server.calls]
    assert paths == [f"/lists/{LIST}/requests", "/members/find", "/members/m1/all/preferences"]


@pytest.mark.parametrize("rows", [[], [{"email": "other@example.com", "token_owner": "moderator"}]])
def test_fewer_rows_than_there_are_is_no_answer(server: responses.RequestsMock, rows: list[dict[str, str]]) -> None:
    """Taken for the whole list it would say that nobody asked to leave."""
    pages = [collection(rows, 3), collection((), 3)]
    for page, answer in enumerate(pages, start=1):
        terms = {"request_type": "unsubscription", "page": page}
        server.get(
            f"{BASE}/lists/{LIST}/requests",
            json=answer,
            match=[responses.matchers.query_param_matcher(terms, strict_match=False)],
        )
    server.get(
        f"{BASE}/lists/{LIST}/requests",
        json=collection(()),
        match=[responses.matchers.query_param_matcher({"request_type": "subscription"}, strict_match=False)],
    )
    has(server, enabled=[row("in@example.com")])
    with pytest.raises(SystemUnavailable, match="of 3"):
        connector().read_ids(SPEC, ["in@example.com"])
    with pytest.raises(SystemUnavailable, match="of 3"):
        list(connector().read(SPEC, None))


def test_a_request_to_leave_that_the_person_has_not_confirmed_is_nobodys_wish(server: responses.RequestsMock) -> None:
    """Anybody can send one in their name."""
    asked_to_leave(server, {"email": "in@example.com", "token": "t", "token_owner": "subscriber"})
    waiting(server)
    has(server, enabled=[row("in@example.com")])
    (page,) = connector().read(SPEC, None)
    assert page.records[0].status is Status.IN
