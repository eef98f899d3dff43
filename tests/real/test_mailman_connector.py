"""The connector against a real GNU Mailman 3."""

import random
from collections.abc import Iterator

import pytest

from optsync.clock import SystemClock
from optsync.connect.contract import Connector, Context, Severity
from optsync.errors import CredentialsRefused, SystemUnavailable
from optsync.model.change import Fact, Result, Write, WriteKind
from optsync.model.page import Page, ReadSpec
from optsync.model.record import Origin, Record, Status
from optsync_mailman3 import Mailman3, client, reading
from optsync_mailman3.settings import MailmanSettings
from tests.real.mailman_server import MailmanServer

pytestmark = pytest.mark.real


def _connector(mailman: MailmanServer, password: str | None = None) -> Mailman3:
    entry = mailman.entry() | ({"password": password} if password else {})
    context = Context(system="lists", clock=SystemClock(), rng=random.Random(1))
    return Mailman3(MailmanSettings.model_validate(entry), context)


@pytest.fixture
def connector(mailman: MailmanServer) -> Iterator[Mailman3]:
    made = _connector(mailman)
    yield made
    made.close()


@pytest.fixture
def news(mailman: MailmanServer) -> str:
    return mailman.new_list()


def _spec(list_id: str) -> ReadSpec:
    return ReadSpec(collection=list_id, fields=frozenset({"display_name"}))


def _read(connector: Mailman3, list_id: str) -> tuple[dict[str, Record], Page]:
    pages = list(connector.read(_spec(list_id), None))
    records = [record for page in pages for record in page.records]
    assert len({record.id for record in records}) == len(records)
    return {record.id: record for record in records}, pages[-1]


def _statuses(connector: Mailman3, list_id: str) -> dict[str, Status | None]:
    return {key: record.status for key, record in _read(connector, list_id)[0].items()}


def _use_pages_of(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (client, reading):
        for name in ("PAGE", "SEARCH_PAGE"):
            monkeypatch.setattr(module, name, rows)


def _status(list_id: str, email: str, status: Status) -> Write:
    out = status is Status.OUT
    return Write(key=email, kind=WriteKind.STATUS, collection=list_id, record=email, status=status, restrictive=out)


def _create(list_id: str, email: str, status: Status = Status.IN, name: str = "") -> Write:
    fields = {"display_name": name} if name else {}
    return Write(key=email, kind=WriteKind.CREATE, collection=list_id, address=email, status=status, fields=fields)


def test_it_fulfils_the_contract_and_knows_the_installation(connector: Mailman3, news: str) -> None:
    assert isinstance(connector, Connector)
    health = connector.check([_spec(news), ReadSpec(collection="none.lists.example")])
    assert health.account_id.endswith(" owner@lists.example")
    assert health.clock_offset is not None
    assert abs(health.clock_offset) < 30
    assert [(problem.severity, "none.lists.example" in problem.message) for problem in health.problems] == [
        (Severity.ERROR, True)
    ]
    assert news in {info.id for info in connector.describe()}


def test_check_warns_of_a_list_that_mails_a_goodbye(mailman: MailmanServer, connector: Mailman3) -> None:
    loud = mailman.new_list(send_goodbye_message=True)
    (problem,) = connector.check([_spec(loud)]).problems
    assert (problem.severity, "goodbye" in problem.message) == (Severity.WARNING, True)


def test_check_wants_the_list_id_and_not_the_posting_address(connector: Mailman3, news: str) -> None:
    (problem,) = connector.check([ReadSpec(collection=news.replace(".", "@", 1))]).problems
    assert (problem.severity, problem.message.endswith(f"its list_id is {news}")) == (Severity.ERROR, True)


def test_an_international_domain_is_one_member_in_either_form(
    mailman: MailmanServer, connector: Mailman3, news: str
) -> None:
    made, again = connector.write(
        [_create(news, "anna@bücher.example"), _status(news, "anna@xn--bcher-kva.example", Status.IN)], _spec(news)
    )
    assert (made.result, again.result, made.record_id) == (Result.APPLIED, Result.SAME, again.record_id)
    connector.write([_status(news, "anna@bücher.example", Status.OUT)], _spec(news))
    assert mailman.members(news) == {}


def test_a_wrong_password_is_refused(mailman: MailmanServer) -> None:
    with pytest.raises(CredentialsRefused):
        _connector(mailman, "wrong-password").check([])


def test_a_read_shows_what_every_member_wants(mailman: MailmanServer, connector: Mailman3, news: str) -> None:
    for status in ("enabled", "by_user", "by_moderator", "unknown", "by_bounces"):
        mailman.subscribe(news, f"{status}@example.com", "Zoë 🌍", status)
    mailman.call("PATCH", f"lists/{news}/config", body={"subscription_policy": "confirm"})
    token = mailman.ask_to_join(news, "Waiting@example.com")
    shown, last = _read(connector, news)
    assert {key: (record.status, record.origin) for key, record in shown.items()} == {
        "enabled@example.com": (Status.IN, Origin.UNKNOWN),
        "by_user@example.com": (Status.OUT, Origin.PERSON),
        "by_moderator@example.com": (Status.OUT, Origin.ADMIN),
        "unknown@example.com": (Status.UNKNOWN, Origin.UNKNOWN),
        "by_bounces@example.com": (Status.BOUNCED, Origin.UNKNOWN),
        "waiting@example.com": (Status.PENDING, Origin.UNKNOWN),
    }
    assert shown["enabled@example.com"].fields == {"display_name": "Zoë 🌍"}
    assert shown["waiting@example.com"].status_at is not None
    assert (last.is_complete, last.cursor) == (True, None)
    by_id = {record.id: record.status for record in connector.read_ids(_spec(news), list(shown))}
    assert by_id == {key: record.status for key, record in shown.items()}
    mailman.confirm(news, token)
    assert _statuses(connector, news)["waiting@example.com"] is Status.IN


def test_an_empty_list_is_read_completely_and_a_missing_one_fails(connector: Mailman3, news: str) -> None:
    assert _read(connector, news)[0] == {}
    with pytest.raises(SystemUnavailable):
        list(connector.read(_spec("none.lists.example"), None))
    with pytest.raises(SystemUnavailable):
        connector.read_ids(_spec("none.lists.example"), ["a@example.com"])


@pytest.mark.slow
def test_a_list_of_many_pages_is_read_resumed_and_left(
    mailman: MailmanServer, connector: Mailman3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """450 members in pages of 100: everybody once, again after an interruption, and gone in three calls."""
    crowd = mailman.new_list("crowd")
    people = [f"p{number:03}@example.com" for number in range(450)]
    outcomes = connector.write([_create(crowd, person) for person in people], _spec(crowd))
    assert {outcome.result for outcome in outcomes} == {Result.APPLIED}
    mailman.pause(crowd, "p007@example.com")
    _use_pages_of(100, monkeypatch)
    shown, last = _read(connector, crowd)
    assert sorted(shown) == people
    assert last.is_complete
    assert [key for key, record in shown.items() if record.status is Status.OUT] == ["p007@example.com"]

    first, second, *_ = connector.read(_spec(crowd), None)
    rest = list(connector.read(_spec(crowd), second.cursor))
    resumed = {record.id for page in (first, second, *rest) for record in page.records}
    assert sorted(resumed) == people
    assert rest[-1].is_complete

    calls = connector.calls
    leaving = connector.write([_status(crowd, person, Status.OUT) for person in people], _spec(crowd))
    assert [outcome.result for outcome in leaving] == [Result.APPLIED] * 450
    assert connector.calls - calls == 3
    assert mailman.members(crowd) == {}


def test_somebody_who_leaves_during_a_read_makes_it_incomplete(
    mailman: MailmanServer, connector: Mailman3, news: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use_pages_of(2, monkeypatch)
    for number in range(5):
        mailman.subscribe(news, f"p{number}@example.com")
    pages = connector.read(_spec(news), None)
    next(pages)
    mailman.unsubscribe(news, "p0@example.com")
    # p2 moves to the page that was read already: nobody may take that for leaving.
    rest = list(pages)
    assert "p2@example.com" not in {record.id for page in rest for record in page.records}
    assert rest[-1].is_complete is False
    assert [record.id for record in connector.read_ids(_spec(news), ["p0@example.com", "p2@example.com"])] == [
        "p2@example.com"
    ]


def test_leaving_and_coming_back_keeps_the_record(mailman: MailmanServer, connector: Mailman3, news: str) -> None:
    (made,) = connector.write([_create(news, "Anna@Example.com", name="Anna")], _spec(news))
    assert (made.result, made.record_id) == (Result.APPLIED, "anna@example.com")
    before = mailman.call("GET", f"lists/{news}/member/anna@example.com")["member_id"]
    mailman.unsubscribe(news, "anna@example.com")
    assert connector.read_ids(_spec(news), ["anna@example.com"]) == []
    mailman.subscribe(news, "ANNA@example.com")
    assert mailman.call("GET", f"lists/{news}/member/anna@example.com")["member_id"] != before
    assert _statuses(connector, news) == {"anna@example.com": Status.IN}


def test_the_same_address_in_another_case_is_the_same_person(
    mailman: MailmanServer, connector: Mailman3, news: str
) -> None:
    mailman.subscribe(news, "anna@example.com")
    created, set_in, left = (
        connector.write([write], _spec(news))[0]
        for write in (
            _create(news, "Anna@EXAMPLE.com"),
            _status(news, "ANNA@example.com", Status.IN),
            _status(news, "Anna@example.com", Status.OUT),
        )
    )
    assert (created.result, created.fact) == (Result.REFUSED, Fact.EXISTS)
    assert (set_in.result, set_in.record_id) == (Result.SAME, "anna@example.com")
    assert left.result is Result.APPLIED
    assert mailman.members(news) == {}


def test_a_pause_is_an_out_that_a_create_leaves_and_an_opt_in_ends(
    mailman: MailmanServer, connector: Mailman3, news: str
) -> None:
    mailman.subscribe(news, "anna@example.com", status="by_user")
    (created,) = connector.write([_create(news, "anna@example.com")], _spec(news))
    assert (created.result, created.fact) == (Result.REFUSED, Fact.EXISTS)
    assert mailman.members(news) == {"anna@example.com": "by_user"}
    (resumed,) = connector.write([_status(news, "anna@example.com", Status.IN)], _spec(news))
    assert resumed.result is Result.APPLIED
    assert resumed.record
    assert resumed.record.status is Status.IN
    assert mailman.members(news) == {"anna@example.com": "enabled"}


def test_a_pause_of_all_lists_by_the_person_is_seen(mailman: MailmanServer, connector: Mailman3, news: str) -> None:
    mailman.subscribe(news, "everything@example.com")
    mailman.call("PATCH", "users/everything@example.com/preferences", body={"delivery_status": "by_user"})
    assert _statuses(connector, news) == {"everything@example.com": Status.OUT}
    (record,) = connector.read_ids(_spec(news), ["everything@example.com"])
    assert (record.status, record.origin) == (Status.OUT, Origin.PERSON)


def test_a_member_suspended_for_bounces_is_not_resumed(mailman: MailmanServer, connector: Mailman3, news: str) -> None:
    mailman.subscribe(news, "dead@example.com", status="by_bounces")
    (outcome,) = connector.write([_status(news, "dead@example.com", Status.IN)], _spec(news))
    assert (outcome.result, outcome.fact) == (Result.REFUSED, Fact.UNDELIVERABLE)
    assert mailman.members(news) == {"dead@example.com": "by_bounces"}


def test_a_ban_refuses_a_subscription_and_removes_nobody(
    mailman: MailmanServer, connector: Mailman3, news: str
) -> None:
    mailman.subscribe(news, "member@example.com")
    for email in ("member@example.com", "stranger@example.com"):
        mailman.ban(news, email)
    (outcome,) = connector.write([_create(news, "stranger@example.com")], _spec(news))
    assert (outcome.result, outcome.fact) == (Result.REFUSED, Fact.BANNED)
    assert _statuses(connector, news) == {"member@example.com": Status.IN}


def test_an_address_that_is_none_stops_only_itself(mailman: MailmanServer, connector: Mailman3, news: str) -> None:
    outcomes = connector.write([_create(news, "no address"), _create(news, "good@example.com")], _spec(news))
    assert [outcome.result for outcome in outcomes] == [Result.INVALID, Result.APPLIED]
    assert mailman.members(news) == {"good@example.com": "enabled"}


def test_leaving_a_list_one_is_not_on_is_the_same(mailman: MailmanServer, connector: Mailman3, news: str) -> None:
    mailman.subscribe(news, "anna@example.com")
    writes = [_status(news, email, Status.OUT) for email in ("anna@example.com", "nobody@example.com")]
    assert [outcome.result for outcome in connector.write(writes, _spec(news))] == [Result.APPLIED, Result.SAME]


@pytest.mark.parametrize("policy", ["open", "confirm", "moderate", "confirm_then_moderate"])
def test_asking_leaves_the_decision_to_the_person(mailman: MailmanServer, connector: Mailman3, policy: str) -> None:
    asked = mailman.new_list("asked", subscription_policy=policy)
    (outcome,) = connector.write([_create(asked, "anna@example.com", Status.PENDING)], _spec(asked))
    assert outcome.result is Result.APPLIED
    assert mailman.members(asked) == {}
    assert _statuses(connector, asked) == {"anna@example.com": Status.PENDING}
    (again,) = connector.write([_status(asked, "anna@example.com", Status.PENDING)], _spec(asked))
    assert (again.result, len(mailman.requests(asked))) == (Result.SAME, 1)
    (request,) = mailman.requests(asked)
    mailman.confirm(asked, request["token"])
    assert _statuses(connector, asked) == {"anna@example.com": Status.IN}


def test_a_subscription_replaces_a_waiting_request(mailman: MailmanServer, connector: Mailman3) -> None:
    asked = mailman.new_list("asked", subscription_policy="confirm")
    mailman.ask_to_join(asked, "anna@example.com")
    (outcome,) = connector.write([_status(asked, "anna@example.com", Status.IN)], _spec(asked))
    assert outcome.result is Result.APPLIED
    assert (mailman.requests(asked), _statuses(connector, asked)) == ([], {"anna@example.com": Status.IN})


@pytest.mark.parametrize(
    "email",
    ["with/slash@example.com", "a+b@example.com", "o'neil@example.com", "per%cent@example.com", "q?x@example.com"],
)
def test_unusual_addresses_are_members_like_others(
    mailman: MailmanServer, connector: Mailman3, news: str, email: str
) -> None:
    (made,) = connector.write([_create(news, email)], _spec(news))
    assert made.result is Result.APPLIED
    assert [record.id for record in connector.read_ids(_spec(news), [email])] == [email]
    assert _statuses(connector, news) == {email: Status.IN}
    (left,) = connector.write([_status(news, email, Status.OUT)], _spec(news))
    assert left.result is Result.APPLIED
    assert mailman.members(news) == {}


def test_an_asterisk_removes_and_shows_only_its_own_address(
    mailman: MailmanServer, connector: Mailman3, news: str
) -> None:
    mailman.subscribe(news, "starlight@example.com")
    assert connector.read_ids(_spec(news), ["star*@example.com"]) == []
    connector.write([_status(news, "star*@example.com", Status.OUT)], _spec(news))
    assert mailman.members(news) == {"starlight@example.com": "enabled"}


def test_a_person_on_the_list_twice_is_one_record_and_leaves_wholly(
    mailman: MailmanServer, connector: Mailman3, news: str
) -> None:
    """Once with the address itself, and once as a user whose preferred address became the same one."""
    mailman.subscribe(news, "twice@example.com")
    user = mailman.call("GET", "users/twice@example.com")["user_id"]
    mailman.call("POST", f"users/{user}/addresses", body={"email": "other@example.com"})
    mailman.call("POST", "addresses/other@example.com/verify")
    mailman.call("POST", f"users/{user}/preferred_address", body={"email": "other@example.com"})
    mailman.subscribe(news, user)
    mailman.call("POST", f"users/{user}/preferred_address", body={"email": "twice@example.com"})
    rows = mailman.call("GET", f"lists/{news}/roster/member")["entries"]
    assert [row["email"] for row in rows] == ["twice@example.com"] * 2
    as_user = next(row["member_id"] for row in rows if row["subscription_mode"] == "as_user")
    mailman.call("PATCH", f"members/{as_user}/preferences", body={"delivery_status": "by_user"})
    shown, last = _read(connector, news)
    assert {key: record.status for key, record in shown.items()} == {"twice@example.com": Status.OUT}
    assert last.is_complete
    (record,) = connector.read_ids(_spec(news), ["twice@example.com"])
    assert record.status is Status.OUT
    connector.write([_status(news, "twice@example.com", Status.OUT)], _spec(news))
    assert mailman.call("GET", f"lists/{news}/roster/member")["total_size"] == 0


def test_whom_mailman_knows_by_another_name_is_created_with_the_new_one(
    mailman: MailmanServer, connector: Mailman3, news: str
) -> None:
    mailman.subscribe(mailman.new_list("other"), "known@example.com", "Old")
    (made,) = connector.write([_create(news, "known@example.com", name="New")], _spec(news))
    (record,) = connector.read_ids(_spec(news), ["known@example.com"])
    assert made.record is not None
    assert dict(made.record.fields) == dict(record.fields) == {"display_name": "New"}


def test_a_name_changes_and_the_status_does_not(mailman: MailmanServer, connector: Mailman3, news: str) -> None:
    mailman.subscribe(news, "named@example.com", "Anna", "by_user")
    write = Write(
        key="k", kind=WriteKind.FIELDS, collection=news, record="named@example.com", fields={"display_name": "Änne"}
    )
    (outcome,) = connector.write([write], _spec(news))
    assert outcome.result is Result.APPLIED
    (record,) = connector.read_ids(_spec(news), ["named@example.com"])
    assert (record.fields, record.status) == ({"display_name": "Änne"}, Status.OUT)


def test_who_asked_to_leave_and_waits_for_a_moderator_is_out_until_they_ask_back(
    mailman: MailmanServer, connector: Mailman3
) -> None:
    strict = mailman.new_list(unsubscription_policy="moderate")
    (problem,) = connector.check([_spec(strict)]).problems
    assert (problem.severity, "unsubscription_policy" in problem.message) == (Severity.WARNING, True)
    for name in ("gone", "here"):
        mailman.subscribe(strict, f"{name}@example.com")
    mailman.unsubscribe(strict, "gone@example.com")
    assert mailman.members(strict) == {"gone@example.com": "enabled", "here@example.com": "enabled"}
    shown, last = _read(connector, strict)
    assert {key: record.status for key, record in shown.items()} == {
        "gone@example.com": Status.OUT,
        "here@example.com": Status.IN,
    }
    assert last.is_complete
    (looked_up,) = connector.read_ids(_spec(strict), ["gone@example.com"])
    assert (looked_up.origin, looked_up.status_at) == (Origin.PERSON, shown["gone@example.com"].status_at)
    (outcome,) = connector.write([_status(strict, "gone@example.com", Status.IN)], _spec(strict))
    assert outcome.result is Result.APPLIED
    assert _statuses(connector, strict) == dict.fromkeys(shown, Status.IN)
