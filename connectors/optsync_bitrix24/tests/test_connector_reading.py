"""Reading a portal: whole entities, deltas, ids, and answers that do not add up."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from optsync.connect.contract import CanScanIds, Connector, Severity
from optsync.connect.mock import ConnectionLost, MockRequest, Person
from optsync.errors import CredentialsRefused, RateLimited, SystemUnavailable
from optsync.model.page import ReadSpec
from optsync_bitrix24.tests.world import BASE, SECRET, contacts, html_answer, people, world

_CLIENTS = {"TYPE_ID": "CLIENT"}
_NO_SUPPLIERS = {"!TYPE_ID": "SUPPLIER"}
"""The same people; this one a row does not tell by itself."""
_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def _mixed(count: int, every: int = 3) -> list[Person]:
    return [replace(one, is_client=one.number % every == 0) for one in people(count)]


def _lost(*_: Any) -> Any:
    raise ConnectionLost


def test_the_connector_keeps_the_contract() -> None:
    made = world().connector
    assert isinstance(made, Connector)
    assert isinstance(made, CanScanIds)
    assert made.capabilities.entities == ("contact", "lead", "company")


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 2450, 2501])
def test_a_full_read_shows_everybody_once(count: int) -> None:
    made = world(people(count))
    pages = made.read(contacts("NAME"))
    assert sum(len(page.records) for page in pages) == count
    assert len({record.id for page in pages for record in page.records}) == count
    assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert all(page.is_full and page.is_complete and not page.faults for page in pages)
    assert made.connector.calls <= count // 2450 + 1


@pytest.mark.parametrize("every", [1, 2, 7, 1000])
@pytest.mark.parametrize("where", [_CLIENTS, _NO_SUPPLIERS])
def test_list_scopes_are_filled_in_the_same_calls(every: int, where: dict[str, Any]) -> None:
    made = world(_mixed(1300, every))
    records = made.records(contacts("TYPE_ID", clients=where, same=where, all={}))
    assert len(records) == 1300
    for record in records.values():
        is_client = record.fields["TYPE_ID"] == "CLIENT"
        assert record.lists == ({"clients", "same", "all"} if is_client else {"all"})
    assert made.connector.calls <= 2


@pytest.mark.parametrize("shown", ["client", "CLIENT ", 7, ["CLIENT"], {"a": "CLIENT"}])
def test_where_a_row_does_not_tell_its_list_scope_the_portal_is_asked(shown: Any) -> None:
    """A database may take for equal what differs in letter case only; what is no code at all says nothing."""
    made = world(_mixed(300))
    spec = contacts("NAME", clients=_CLIENTS)

    def otherwise(_: MockRequest, body: dict[str, Any]) -> Any:
        _pages_of(body)["p2"][5]["TYPE_ID"] = shown
        return body

    made.spoil(otherwise)
    records = made.records(spec)
    assert records == made.records(spec)
    assert sum(record.lists == {"clients"} for record in records.values()) == 100


def test_a_row_that_lacks_the_field_of_its_list_scope_is_asked_about() -> None:
    made = world(_mixed(300))

    def hide(_: MockRequest, body: dict[str, Any]) -> Any:
        for page in _pages_of(body).values():
            for row in page:
                del row["TYPE_ID"]
        return body

    made.spoil(hide)
    records = made.records(contacts("NAME", clients=_CLIENTS))
    assert sum(record.lists == {"clients"} for record in records.values()) == 100


@pytest.mark.parametrize("where", [_CLIENTS, _NO_SUPPLIERS])
def test_a_read_resumes_behind_every_page(where: dict[str, Any]) -> None:
    made = world(_mixed(1300))
    spec = contacts("NAME", clients=where)
    first = made.read(spec)
    for place, page in enumerate(first[:-1]):
        rest = [r.id for p in made.read(spec, page.cursor) for r in p.records]
        assert rest == [r.id for p in first[place + 1 :] for r in p.records]


@pytest.mark.parametrize("cursor", ["", "x", "{}", "[]", '{"entity":"lead"}', '{"entity":"contact","since":"soon"}'])
def test_an_unusable_cursor_starts_a_full_read(cursor: str) -> None:
    pages = world(people(3)).read(contacts("NAME"), cursor)
    assert [len(page.records) for page in pages] == [3]
    assert pages[0].is_full


@pytest.mark.parametrize("where", [_CLIENTS, _NO_SUPPLIERS])
def test_a_delta_without_news_is_one_call_even_for_a_fresh_process(where: dict[str, Any]) -> None:
    made = world(people(120, created_at=_LONG_AGO))
    spec = contacts("NAME", clients=where)
    cursor = made.read(spec)[-1].cursor
    made.clock.advance(3600)
    assert made.calls(lambda: made.read(spec, cursor)) == 1
    (page,) = made.read(spec, cursor)
    assert (page.records, page.is_full, page.is_complete) == ((), False, True)
    other = world(people(120, created_at=_LONG_AGO))
    assert other.calls(lambda: other.read(spec, cursor)) == 1


def test_a_delta_shows_what_changed_with_its_list_scopes() -> None:
    made = world(people(120, created_at=_LONG_AGO))
    spec = contacts("NAME", "UF_CRM_OPT_OUT", clients=_CLIENTS)
    cursor = made.read(spec)[-1].cursor
    made.clock.advance(3600)
    made.mock.act("opt_out", email="ann7@example.com")
    (page,) = made.read(spec, cursor)
    (record,) = page.records
    assert record.fields["UF_CRM_OPT_OUT"] is True
    assert record.lists == {"clients"}


@pytest.mark.parametrize("seconds", [0, 1, 2, 120])
def test_a_change_in_the_very_second_of_a_read_is_in_the_next_delta(seconds: int) -> None:
    made = world(people(3))
    spec = contacts("UF_CRM_OPT_OUT")
    cursor = made.read(spec)[-1].cursor
    made.mock.act("opt_out", email="ann1@example.com")
    made.clock.advance(seconds)
    shown = {r.addresses[0]: r for page in made.read(spec, cursor) for r in page.records}
    assert shown["ann1@example.com"].fields["UF_CRM_OPT_OUT"] is True


def test_the_watermark_is_the_portals_time_and_not_ours() -> None:
    made = world(people(3))

    def slow_clock(_: MockRequest, body: dict[str, Any]) -> Any:
        body["time"]["date_start"] = "2026-11-21T06:00:00+02:00"
        return body

    made.spoil(slow_clock)
    (page,) = made.read(contacts("NAME"))
    assert msgspec.json.decode(page.cursor or "")["since"] == "2026-11-21T06:00:00+02:00"


def test_a_portal_that_tells_no_time_gets_full_reads() -> None:
    made = world(people(3))
    made.spoil(lambda _, body: {**body, "time": {}})
    assert made.read(contacts("NAME"))[-1].cursor is None


def _pages_of(body: dict[str, Any]) -> dict[str, Any]:
    return {key: page for key, page in body["result"]["result"].items() if key.startswith("p")}


def test_a_page_that_repeats_a_row_makes_the_read_incomplete_and_loses_nobody() -> None:
    made = world(people(120))

    def repeat(_: MockRequest, body: dict[str, Any]) -> Any:
        page = _pages_of(body)["p1"]
        page[3] = page[2]
        return body

    made.spoil(repeat)
    pages = made.read(contacts("NAME"))
    assert not pages[-1].is_complete
    assert sum(len(page.records) for page in pages) == 119


def test_a_page_shown_again_and_again_ends_the_read_as_incomplete() -> None:
    made = world(people(200))

    def same(_: MockRequest, body: dict[str, Any]) -> Any:
        first = _pages_of(body)["p0"]
        body["result"]["result"] |= dict.fromkeys(_pages_of(body), first)
        return body

    made.spoil(same)
    pages = made.read(contacts("NAME"))
    assert [page.is_complete for page in pages] == [False]


def test_rubbish_behind_the_first_short_page_is_dropped() -> None:
    made = world(people(60))

    def rubbish(_: MockRequest, body: dict[str, Any]) -> Any:
        pages = _pages_of(body)
        body["result"]["result"] |= dict.fromkeys(list(pages)[2:], pages["p0"])
        body["result"]["result_error"] = {"p9": {"error": "ERROR_CORE", "error_description": "SQL query error!"}}
        return body

    made.spoil(rubbish)
    pages = made.read(contacts("NAME"))
    assert [len(page.records) for page in pages] == [60]
    assert pages[0].is_complete


@pytest.mark.parametrize("position", ["fields", "p0", "p1", "p2", "s0w0", "s0w2"])
@pytest.mark.parametrize("code", ["QUERY_LIMIT_EXCEEDED", "OPERATION_TIME_LIMIT", "INTERNAL_SERVER_ERROR", None])
def test_a_page_that_fails_inside_a_batch_is_asked_for_again(position: str, code: str | None) -> None:
    made = world(_mixed(300, 1))

    def fail(_: MockRequest, body: dict[str, Any]) -> Any:
        del body["result"]["result"][position]
        if code:
            body["result"]["result_error"] = {position: {"error": code, "error_description": "später"}}
        return body

    made.spoil(fail)
    pages = made.read(contacts("NAME", clients=_NO_SUPPLIERS))
    records = [record for page in pages for record in page.records]
    assert len({record.id for record in records}) == 300
    assert all(record.lists == {"clients"} for record in records)
    assert pages[-1].is_complete


def test_what_an_answer_showed_is_kept_while_the_fields_are_asked_for_again() -> None:
    made = world(people(3))

    def fail(_: MockRequest, body: dict[str, Any]) -> Any:
        del body["result"]["result"]["fields"]
        made.mock.act("edit", id=_pages_of(body)["p0"][0]["ID"], fields={"NAME": "Later"})
        return body

    made.spoil(fail)
    (page,) = made.read(contacts("NAME"))
    assert "Later" not in {record.fields["NAME"] for record in page.records}


def test_a_page_that_keeps_failing_ends_with_the_limit_named() -> None:
    made = world(people(3))

    def fail(_: MockRequest, body: dict[str, Any]) -> Any:
        body["result"]["result"].pop("p0")
        body["result"]["result_error"] = {"p0": {"error": "QUERY_LIMIT_EXCEEDED", "error_description": ""}}
        return body

    made.spoil(*[fail] * 9)
    with pytest.raises(RateLimited):
        made.read(contacts("NAME"))


def test_missing_rights_are_no_empty_portal() -> None:
    made = world(people(3))

    def denied(_: MockRequest, body: dict[str, Any]) -> Any:
        body["result"]["result"].pop("p0")
        body["result"]["result_error"] = {"p0": {"error": "", "error_description": "Access denied"}}
        return body

    made.spoil(denied)
    with pytest.raises(CredentialsRefused):
        made.read(contacts("NAME"))


def test_a_lost_answer_and_a_page_of_html_are_asked_for_again() -> None:
    made = world(people(3))
    made.spoil(_lost, lambda *_: html_answer(502), None)
    assert len(made.ids(contacts("NAME"))) == 3


def test_one_row_that_cannot_be_used_is_a_fault_of_its_own() -> None:
    made = world(people(5))

    def spoil(_: MockRequest, body: dict[str, Any]) -> Any:
        rows = _pages_of(body)["p0"]
        rows[1]["UF_CRM_OPT_OUT"] = "perhaps"
        rows[3] = "no row"
        return body

    made.spoil(spoil)
    (page,) = made.read(replace(contacts("UF_CRM_OPT_OUT"), flags=frozenset({"UF_CRM_OPT_OUT"})))
    assert len(page.records) == 3
    assert [(fault.field, fault.value) for fault in page.faults] == [("ID", None), ("UF_CRM_OPT_OUT", "perhaps")]


@pytest.mark.parametrize(
    ("shown", "read"),
    [
        ("9999-12-31T23:59:59-05:00", "9999-12-31T23:59:59Z"),
        ("0001-01-01T00:00:00+02:00", "1-01-01T00:00:00Z"),
    ],
)
def test_a_date_beyond_the_calendar_hides_no_opt_out(shown: str, read: str) -> None:
    made = world(people(2, opt_out=True))

    def spoil(_: MockRequest, body: dict[str, Any]) -> Any:
        _pages_of(body)["p0"][0]["LAST_ACTIVITY_TIME"] = shown
        return body

    made.spoil(spoil)
    first, second = made.records(contacts("UF_CRM_OPT_OUT", "LAST_ACTIVITY_TIME")).values()
    assert (first.fields["UF_CRM_OPT_OUT"], first.fields["LAST_ACTIVITY_TIME"]) == (True, read)
    assert second.fields["UF_CRM_OPT_OUT"] is True


@pytest.mark.parametrize("where", [{"TYP_ID": "CLIENT"}, {"EMAIL": ""}])
def test_a_filter_that_the_portal_would_ignore_stops_the_read(where: dict[str, Any]) -> None:
    with pytest.raises(SystemUnavailable, match="contact"):
        world(people(3)).read(contacts("NAME", clients=where))


def test_a_date_that_stands_in_the_configuration_without_quotes_leaves_out_who_is_older() -> None:
    made = world([*people(1, created_at=_LONG_AGO), *people(2)])
    spec = contacts("NAME", new={">=DATE_CREATE": datetime(2026, 11, 1, tzinfo=UTC)})
    assert [record.lists for record in made.records(spec).values()] == [set(), {"new"}, {"new"}]


def test_a_field_that_is_deleted_right_after_it_was_described_is_not_read_as_emptied() -> None:
    made = world(people(2))
    made.ids(contacts("UF_CRM_OPT_OUT"))
    made.mock.act("delete_field", field="UF_CRM_OPT_OUT")
    with pytest.raises(SystemUnavailable, match="UF_CRM_OPT_OUT is not there"):
        made.read(contacts("UF_CRM_OPT_OUT"))


def test_a_row_without_a_field_is_not_believed_while_the_portal_cannot_describe_its_fields() -> None:
    made = world(people(2, opt_out=True))
    made.ids(contacts("UF_CRM_OPT_OUT"))
    made.mock.act("delete_field", field="UF_CRM_OPT_OUT")

    def silent(request: MockRequest, body: dict[str, Any]) -> Any:
        if "fields" in msgspec.json.decode(request.body)["cmd"]:
            body["result"]["result"] = []
            body["result"]["result_error"] = {"fields": {"error": "INTERNAL_SERVER_ERROR", "error_description": ""}}
        return body

    made.spoil(silent)
    with pytest.raises(SystemUnavailable):
        made.read(contacts("UF_CRM_OPT_OUT"))


def test_a_custom_field_that_is_there_again_is_seen_by_the_next_read() -> None:
    made = world(people(2))

    def without(_: MockRequest, body: dict[str, Any]) -> Any:
        del body["result"]["result"]["fields"]["UF_CRM_OPT_OUT"]
        return body

    made.spoil(without)
    with pytest.raises(SystemUnavailable, match="UF_CRM_OPT_OUT is not there"):
        made.read(contacts("UF_CRM_OPT_OUT"))
    made.clock.advance(60)
    assert len(made.ids(contacts("UF_CRM_OPT_OUT"))) == 2


def test_descriptions_of_a_moment_when_a_field_was_away_do_not_stop_a_later_read() -> None:
    made = world(people(2))
    lacking = made.mock.portal.table("contact").fields
    flag = lacking.pop("UF_CRM_OPT_OUT")
    made.ids(contacts("NAME"))
    lacking["UF_CRM_OPT_OUT"] = flag
    made.clock.advance(61)

    assert len(made.ids(contacts("UF_CRM_OPT_OUT"))) == 2


@pytest.mark.parametrize("name", ["UF_CRM_OPT_OUT", "UF_CRM_TOPIC_NEWS"])
def test_a_flag_that_was_made_anew_as_another_kind_of_field_stops_the_read(name: str) -> None:
    """A text in it is no yes, so that nobody would be out."""
    made = world(people(2, opt_out=True))
    fields = made.mock.portal.table("contact").fields
    fields[name] = replace(fields[name], type="string")
    spec = contacts("UF_CRM_OPT_OUT", topics=["UF_CRM_TOPIC_NEWS"])
    with pytest.raises(SystemUnavailable, match=f"{name} is no yes/no field"):
        made.read(replace(spec, flags=frozenset({"UF_CRM_OPT_OUT"})))


def test_a_custom_field_that_is_gone_stops_the_read() -> None:
    with pytest.raises(SystemUnavailable, match="UF_CRM_NOWHERE"):
        world(people(3)).read(contacts("UF_CRM_NOWHERE"))


def test_booleans_as_json_are_read_as_well() -> None:
    made = world(people(1, opt_out=True, crm_topics={"news": False}), booleans="json")
    (record,) = made.records(contacts("UF_CRM_OPT_OUT", topics=["UF_CRM_TOPIC_NEWS"])).values()
    assert record.fields["UF_CRM_OPT_OUT"] is True
    assert record.topics["UF_CRM_TOPIC_NEWS"] is False


def test_names_of_the_whole_world_arrive_as_they_are() -> None:
    made = world([Person(number=1, first_name="Zoë 🎉 & +%", last_name="Ōno", addresses=("Ünï@exämple.example",))])
    (record,) = made.records(contacts("NAME", "LAST_NAME")).values()
    assert (record.fields["NAME"], record.fields["LAST_NAME"]) == ("Zoë 🎉 & +%", "Ōno")
    assert record.addresses == ("Ünï@exämple.example",)


def test_ids_are_read_with_their_list_scopes_and_missing_ones_left_out() -> None:
    made = world(_mixed(120, 2))
    spec = contacts("NAME", clients=_CLIENTS)
    known = made.records(spec)
    wanted = [*reversed(known), "999999", "x", "0"]
    assert made.calls(lambda: made.connector.read_ids(spec, wanted)) == 1
    assert list(made.connector.read_ids(spec, wanted)) == list(reversed(known.values()))
    assert list(made.connector.read_ids(spec, [])) == []


def test_rows_that_were_not_asked_for_are_not_believed() -> None:
    made = world(people(120))
    spec = contacts("NAME")
    (first, *_) = made.ids(spec)

    def everybody(_: MockRequest, body: dict[str, Any]) -> Any:
        body["result"]["result"]["c0r"].append({"ID": "77", "NAME": "Somebody"})
        return body

    made.spoil(everybody)
    assert [record.id for record in made.connector.read_ids(spec, [first])] == [first]


def test_all_ids_can_be_scanned() -> None:
    made = world(people(130))
    ids = [one for page in made.connector.scan_ids("contact") for one in page]
    assert sorted(ids) == sorted(made.ids(contacts("NAME")))


def test_own_companies_are_left_out_and_converted_leads_by_choice() -> None:
    made = world([*people(3, crm_entity="company")], settings={"include_converted_leads": False})
    spec = ReadSpec(collection="company")
    ids = made.ids(spec)

    def mine(_: MockRequest, body: dict[str, Any]) -> Any:
        _pages_of(body)["p0"][0]["IS_MY_COMPANY"] = "Y"
        return body

    made.spoil(mine)
    assert made.ids(spec) == ids[1:]
    leads = world(people(2, crm_entity="lead"), settings={"include_converted_leads": False})
    first, second = leads.ids(ReadSpec(collection="lead"))
    leads.mock.act("edit", id=int(first), entity="lead", fields={"STATUS_ID": "CONVERTED"})
    assert leads.ids(ReadSpec(collection="lead")) == [second]


def test_a_check_is_one_call_and_finds_nothing_wrong_with_a_good_configuration() -> None:
    made = world(people(1))
    spec = contacts("NAME", "UF_CRM_OPT_OUT", topics=["UF_CRM_TOPIC_NEWS"], clients=_CLIENTS)
    health = made.connector.check([spec])
    assert (health.account_id, health.problems, made.connector.calls) == ("127.0.0.1/b24", (), 1)
    assert health.clock_offset == pytest.approx(0, abs=1)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (contacts("UF_CRM_NOWHERE"), "UF_CRM_NOWHERE"),
        (ReadSpec(collection="contact", fields=frozenset({"OPT_OUT"}), flags=frozenset({"OPT_OUT"})), "OPT_OUT"),
        (contacts(topics=["UF_CRM_NOWHERE"]), "UF_CRM_NOWHERE"),
        (contacts(topics=["NAME"]), "NAME"),
        (ReadSpec(collection="contact", fields=frozenset({"HAS_EMAIL"}), flags=frozenset({"HAS_EMAIL"})), "HAS_EMAIL"),
        (contacts("EMAIL"), "EMAIL"),
        (contacts("PHOTO"), "PHOTO"),
        (contacts("COMPANY_IDS"), "COMPANY_IDS"),
        (contacts(clients={"TYP_ID": "CLIENT"}), "TYP_ID"),
        (ReadSpec(collection="deal"), None),
    ],
)
def test_a_check_names_what_does_not_exist_or_fit(spec: ReadSpec, field: str | None) -> None:
    problems = world().connector.check([spec]).problems
    assert [(one.severity, one.field) for one in problems] == [(Severity.ERROR, field)]


def test_a_check_warns_of_an_owner_who_may_not_see_everything() -> None:
    (problem,) = world(is_admin=False).connector.check([contacts("NAME")]).problems
    assert problem.severity is Severity.WARNING
    assert "administrator" in problem.message


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_secret_is_refused_without_being_told(status: int) -> None:
    made = world(wrong_secret_status=status)
    wrong = "wr0ngs3cr3t"
    url = f"{BASE}/rest/7/{wrong}/"
    other = world(settings={"webhook_url": url})
    other.transport._mocks[BASE] = made.mock
    with pytest.raises(CredentialsRefused) as caught:
        other.connector.check([])
    assert wrong not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_everything_that_can_be_mapped_is_described() -> None:
    contact, lead, company = world().connector.describe()
    assert [one.id for one in (contact, lead, company)] == ["contact", "lead", "company"]
    fields = {one.name: one for one in contact.fields}
    assert fields["UF_CRM_OPT_OUT"].type == "boolean"
    assert dict(fields["UF_CRM_PLAN"].options) == {"45": "Gold", "46": "Silver"}
    assert not fields["DATE_MODIFY"].is_writable
    assert "UF_CRM_TOPIC_NEWS" in contact.topics
    assert "EMAIL" not in fields


def test_an_unknown_option_has_the_fields_asked_for_again() -> None:
    made = world(people(2, plan="Gold"))
    spec = contacts("UF_CRM_PLAN")
    made.ids(spec)

    def newer(_: MockRequest, body: dict[str, Any]) -> Any:
        _pages_of(body)["p0"][0]["UF_CRM_PLAN"] = "99"
        return body

    made.clock.advance(120)
    made.spoil(newer)
    assert [record.fields["UF_CRM_PLAN"] for record in made.records(spec).values()] == ["99", "45"]
    made.ids(spec)
    sent = [msgspec.json.decode(request.body)["cmd"] for request in made.transport.requests]
    assert ["fields" in cmd for cmd in sent] == [True, False, True]


@pytest.mark.parametrize("spec", [contacts("UF_CRM_OPT_OUT"), contacts(news={"!=UF_CRM_TOPIC_NEWS": True})])
def test_a_custom_field_that_was_deleted_since_the_fields_were_asked_for_stops_the_read(spec: ReadSpec) -> None:
    made = world(people(3, opt_out=True, crm_topics={"news": True}))
    (first, *_) = made.ids(spec)
    made.clock.advance(120)
    made.mock.act("delete_field", field="UF_CRM_OPT_OUT")
    made.mock.act("delete_field", field="UF_CRM_TOPIC_NEWS")
    with pytest.raises(SystemUnavailable, match="UF_CRM_"):
        made.ids(spec)
    with pytest.raises(SystemUnavailable, match="UF_CRM_"):
        made.connector.read_ids(spec, [first])


def test_rows_that_leave_out_empty_custom_fields_are_read_as_well() -> None:
    made = world(people(1))
    spec = contacts("UF_CRM_OPT_OUT")
    made.ids(spec)
    made.clock.advance(120)

    def sparse(_: MockRequest, body: dict[str, Any]) -> Any:
        del _pages_of(body)["p0"][0]["UF_CRM_OPT_OUT"]
        return body

    made.spoil(sparse)
    assert [record.fields["UF_CRM_OPT_OUT"] for record in made.records(spec).values()] == [None]
