import msgspec
import pytest

from optsync.connect.mock import ConnectionLost
from optsync_bitrix24.tests.mock_calls import Portal, person


def refusal(portal: Portal, path: str, query: str = "") -> tuple[int, object]:
    answer = portal.send(path, query=query)
    return answer.status, msgspec.json.decode(answer.body)["error"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_secret_or_user_is_refused(status: int) -> None:
    portal = Portal(wrong_secret_status=status)
    assert refusal(portal, "/rest/7/wrong/profile") == (status, "INVALID_CREDENTIALS")
    assert refusal(portal, portal.base.replace("/7/", "/8/") + "profile.json") == (status, "INVALID_CREDENTIALS")


def test_an_address_without_credential_needs_a_token() -> None:
    portal = Portal(access_token="good")
    assert refusal(portal, "/rest/profile") == (401, "NO_AUTH_FOUND")
    assert refusal(portal, "/rest/profile", "auth=bad") == (401, "invalid_token")
    assert portal.send("/rest/profile.json", query="auth=good").status == 200


def test_another_path_is_no_json() -> None:
    answer = Portal().send("/api/profile")
    assert (answer.status, answer.headers["Content-Type"]) == (404, "text/html; charset=UTF-8")


@pytest.mark.parametrize("name", ["event.bind", "event.offline.get", "crm.automation.trigger.add"])
def test_a_webhook_may_not_call_what_needs_an_application(name: str) -> None:
    assert Portal().error(name)[:2] == (403, "WRONG_AUTH_TYPE")


def test_the_mailing_tool_and_the_exclusions_have_no_methods() -> None:
    portal = Portal()
    for name in ("sender.contact.list", "crm.exclusion.list", "crm.contact.nonsense"):
        assert portal.error(name)[:2] == (404, "ERROR_METHOD_NOT_FOUND")
    assert not [name for name in portal.result("methods") if name.startswith(("sender.", "crm.exclusion."))]


def test_method_names_are_matched_without_case_and_suffix() -> None:
    portal = Portal(person(1))
    assert portal.answer("CRM.Contact.List.json")[0] == 200


@pytest.mark.parametrize("status", [403, 401])
def test_a_scope_that_was_not_granted_is_refused(status: int) -> None:
    portal = Portal(scopes=("user_brief",), missing_scope_status=status)
    assert portal.error("crm.contact.list")[:2] == (status, "insufficient_scope")
    assert portal.result("scope") == ["user_brief"]


def test_plain_http_is_refused_where_the_switch_says_so() -> None:
    portal = Portal(is_https_required=True)
    assert portal.error("profile")[:2] == (400, "INVALID_REQUEST")


def test_the_51st_request_of_a_burst_is_one_too_many() -> None:
    portal = Portal(person(1))
    statuses = [portal.answer("profile")[0] for _ in range(51)]
    assert statuses == [200] * 50 + [503]
    portal.clock.advance(1)
    assert [portal.answer("profile")[0] for _ in range(2)] == [200, 503]
    assert portal.error("profile") == (503, "QUERY_LIMIT_EXCEEDED", "Too many requests")


def test_two_requests_a_second_never_fill_the_bucket() -> None:
    portal = Portal()
    for _ in range(300):
        assert portal.answer("profile")[0] == 200
        portal.clock.advance(0.5)


def test_every_source_address_has_a_bucket_of_its_own_and_a_batch_counts_once() -> None:
    portal = Portal(threshold=1)
    assert portal.batch(a="profile", b="profile", c="profile")["result"].keys() == {"a", "b", "c"}
    assert portal.answer("profile")[0] == 503
    assert portal.send(portal.base + "profile", client="192.0.2.9").status == 200


def test_execution_time_is_limited_by_method_and_comes_back_by_minutes() -> None:
    portal = Portal(person(1), operating_budget=0.25, read_cost=0.1)
    begun = int(portal.clock.now().timestamp())
    for spent in (0.1, 0.2, 0.3):
        _, body = portal.answer("crm.contact.get", id=1)
        assert (body["time"]["operating"], body["time"]["operating_reset_at"]) == (spent, begun + 600)
    assert portal.error("crm.contact.get", id=1)[:2] == (429, "OPERATION_TIME_LIMIT")
    assert portal.answer("crm.contact.fields")[0] == 200
    portal.clock.advance(599)
    assert portal.answer("crm.contact.get", id=1)[0] == 429
    portal.clock.advance(1)
    assert portal.answer("crm.contact.get", id=1)[0] == 200


def test_a_batch_may_pay_under_its_own_name() -> None:
    portal = Portal(person(1), operating_charge="batch", operating_budget=0.1, read_cost=0.1)
    portal.batch(a="crm.contact.get?id=1")
    assert portal.error("batch", cmd={"a": "profile"})[:2] == (429, "OPERATION_TIME_LIMIT")
    assert portal.answer("crm.contact.get", id=1)[0] == 200


def test_the_operating_keys_and_limits_can_be_switched_off() -> None:
    portal = Portal(shows_operating=False, has_rate_limit=False, has_operating_limit=False, read_cost=100.0)
    for _ in range(60):
        status, body = portal.answer("crm.contact.fields")
        assert (status, "operating" in body["time"]) == (200, False)


def test_the_time_block_and_the_date_header_tell_the_portals_clock() -> None:
    portal = Portal()
    answer = portal.send(portal.base + "server.time")
    body = msgspec.json.decode(answer.body)
    assert body["result"] == body["time"]["date_start"] == "2026-11-21T10:26:40+02:00"
    assert answer.headers["Date"] == "Sat, 21 Nov 2026 08:26:40 GMT"
    assert body["time"].keys() >= {"start", "finish", "duration", "processing", "date_start", "date_finish"}
    assert body["time"].keys() >= {"operating", "operating_reset_at"}


def test_the_profile_says_whether_the_owner_is_an_administrator() -> None:
    assert Portal(is_admin=False).result("profile")["ADMIN"] is False
    assert Portal().result("profile")["ID"] == "7"
    assert Portal().result("method.get", name="crm.item.list") == {"isExisting": True, "isAvailable": True}
    assert Portal().result("feature.get", CODE="rest_offline_extended") == {"value": "N"}
    assert Portal().error("feature.get")[1] == "CODE_EMPTY"
    assert "CLIENT" in {row["STATUS_ID"] for row in Portal().result("crm.status.list")}


@pytest.mark.parametrize(
    ("fault", "status", "is_done"),
    [
        ({"kind": "html", "status": 502}, 502, False),
        ({"kind": "redirect", "status": 302, "location": "https://new.example.com/rest/"}, 302, False),
        ({"kind": "error", "status": 500}, 500, False),
        ({"kind": "truncated"}, 200, True),
    ],
)
def test_faults_strike_as_often_as_they_are_told(fault: dict[str, object], status: int, is_done: bool) -> None:
    portal = Portal(person(1))
    portal.mock.act("fault", method="crm.contact.update", skip=1, **fault)
    body = msgspec.json.encode({"id": 1, "fields": {"NAME": "Zoe"}})
    portal.result("crm.contact.update", id=1, fields={"NAME": "Amy"})
    answer = portal.send(portal.base + "crm.contact.update", body)
    assert (answer.status, answer.headers.get("Location", "")) == (status, fault.get("location", ""))
    assert (portal.contact()["NAME"] == "Zoe") is is_done
    assert portal.send(portal.base + "crm.contact.update", body).status == 200


@pytest.mark.parametrize(("kind", "name"), [("lost_before", "First1"), ("lost_after", "Zoe")])
def test_a_connection_is_lost_before_or_after_the_work(kind: str, name: str) -> None:
    portal = Portal(person(1))
    portal.mock.act("fault", kind=kind)
    with pytest.raises(ConnectionLost):
        portal.result("crm.contact.update", id=1, fields={"NAME": "Zoe"})
    assert portal.contact()["NAME"] == name
