"""Many contacts at once: the bulk call, segments, batches."""

import io
import json
import tarfile
from typing import Any

import pytest

from optsync_mailchimp.tests.api import LIST, Api


@pytest.fixture
def api() -> Api:
    return Api()


def bulk(api: Api, *items: dict[str, Any], update: bool = True, sync_tags: bool = False, **query: Any) -> Any:
    body = {"members": list(items), "update_existing": update, "sync_tags": sync_tags}
    reply = api.call("POST", LIST, body, **query)
    assert reply.status == 200, reply.body
    return reply.body


def item(name: str, status: str | None = "subscribed", **more: Any) -> dict[str, Any]:
    return {"email_address": f"{name}@example.com", **({"status": status} if status else {}), **more}


def test_good_items_are_written_although_others_fail(api: Api) -> None:
    api.add("own@example.com")
    api.act("unsubscribe", email="own@example.com")
    answer = bulk(api, item("new"), item("own"), item("odd", merge_fields={"PLAN": "Lead"}), item("none", None))
    assert (answer["total_created"], answer["total_updated"], answer["error_count"]) == (1, 0, 3)
    compliance, plan, status = answer["errors"]
    assert "is in a compliance state" in compliance["error"]
    assert plan["field"] == "PLAN"
    assert status["field"] == "status"
    assert {error["error_code"] for error in answer["errors"]} == {"ERROR_GENERIC"}
    assert "contact_id" not in answer["new_members"][0]


def test_existing_contacts_are_errors_unless_updates_are_allowed(api: Api) -> None:
    api.add("a@example.com")
    answer = bulk(api, item("a", "unsubscribed"), update=False)
    assert [error["error_code"] for error in answer["errors"]] == ["ERROR_CONTACT_EXISTS"]
    answer = bulk(api, item("a", None, merge_fields={"FNAME": "Ann"}))
    assert answer["updated_members"][0]["status"] == "subscribed"
    assert answer["updated_members"][0]["merge_fields"]["FNAME"] == "Ann"


def test_an_address_is_refused_for_a_contact_that_exists_as_well(api: Api) -> None:
    api.add("busy@example.com")
    api.act("throttle", email="busy@example.com")
    for status in ("unsubscribed", "subscribed", None):
        (error,) = bulk(api, item("busy", status, merge_fields={"FNAME": "Ann"}))["errors"]
        assert "signed up to a lot of lists" in error["error"]
    shown = api.call("GET", api.member("busy@example.com")).body
    assert (shown["status"], shown["merge_fields"]["FNAME"]) == ("subscribed", "")


def test_accounts_differ_in_whether_an_item_needs_a_status() -> None:
    api = Api(bulk_needs_status=True)
    api.add("a@example.com")
    (error,) = bulk(api, item("a", None, merge_fields={"FNAME": "Ann"}))["errors"]
    assert error["field"] == "status"


def test_silent_accounts_leave_a_refused_contact_unchanged_without_an_error() -> None:
    api = Api(bulk_refusal_is_error=False)
    api.add("own@example.com")
    api.act("unsubscribe", email="own@example.com")
    answer = bulk(api, item("own"))
    assert answer["errors"] == []
    assert answer["updated_members"][0]["status"] == "unsubscribed"


def test_of_doubled_addresses_the_first_wins(api: Api) -> None:
    twice = (item("a", merge_fields={"FNAME": "One"}), item("A", merge_fields={"FNAME": "Two"}))
    assert bulk(api, *twice)["error_count"] == 1
    assert bulk(api, *twice, skip_duplicate_check="true")["error_count"] == 0
    assert api.call("GET", api.member("a@example.com")).body["merge_fields"]["FNAME"] == "One"


def test_five_hundred_are_the_limit(api: Api) -> None:
    assert bulk(api, *(item(f"p{n}") for n in range(500)))["total_created"] == 500
    reply = api.call("POST", LIST, {"members": [item(f"q{n}") for n in range(501)]})
    assert (reply.status, reply.body["errors"][0]["field"]) == (400, "members")


def test_tags_are_added_or_made_exact_and_known_without_case(api: Api) -> None:
    api.add("a@example.com", tags=["Old"])
    assert _tags(bulk(api, item("a", tags=["new", "OLD"]))) == ["Old", "new"]
    assert _tags(bulk(api, item("a", tags=["new"]), sync_tags=True)) == ["new"]


def _tags(answer: Any) -> list[str]:
    return [tag["name"] for tag in answer["updated_members"][0]["tags"]]


def test_fifty_tags_are_shown_and_all_are_counted(api: Api) -> None:
    made = api.add("a@example.com", tags=[f"t{n}" for n in range(60)])
    assert (made["tags_count"], len(made["tags"])) == (60, 50)
    assert api.call("GET", f"{api.member('a@example.com')}/tags", count=100).body["total_items"] == 60


def test_tag_writes_move_last_changed_and_an_empty_list_does_not(api: Api) -> None:
    made = api.add("a@example.com")
    path = f"{api.member('a@example.com')}/tags"
    api.clock.advance(10)
    assert api.call("POST", path, {"tags": []}).status == 204
    assert api.call("POST", path, {"tags": {"name": "x", "status": "active"}}).status == 204
    assert api.call("GET", api.member("a@example.com")).body["last_changed"] == made["last_changed"]
    api.call("POST", path, {"tags": [{"name": "x", "status": "active"}]})
    shown = api.call("GET", api.member("a@example.com")).body
    assert (shown["tags"][0]["name"], shown["last_changed"] > made["last_changed"]) == ("x", True)


def test_a_segment_takes_and_gives_back_known_contacts(api: Api) -> None:
    api.add("a@example.com")
    tag = api.call("POST", f"{LIST}/segments", {"name": "crm", "static_segment": []}).body["id"]
    body = {"members_to_add": ["a@example.com", "nobody@example.com"]}
    answer = api.call("POST", f"{LIST}/segments/{tag}", body).body
    assert (answer["total_added"], answer["error_count"]) == (1, 1)
    assert api.call("GET", f"{LIST}/tag-search", name="C").body["tags"] == [{"id": tag, "name": "crm"}]
    assert api.call("GET", f"{LIST}/segments/{tag}/members").body["total_items"] == 1
    gone = api.call("DELETE", f"{LIST}/segments/{tag}/members/{api.member('a@example.com').rsplit('/', 1)[1]}")
    assert gone.status == 204
    assert api.call("GET", api.member("a@example.com")).body["tags"] == []


def submit(api: Api, *operations: dict[str, Any]) -> str:
    reply = api.call("POST", "/batches", {"operations": list(operations)})
    assert reply.body["status"] == "pending"
    return f"/batches/{reply.body['id']}"


def results(api: Api, path: str) -> list[dict[str, Any]]:
    url = api.call("GET", path).body["response_body_url"]
    answer = api.raw("GET", url.removeprefix("http://127.0.0.1:1"), headers={})
    assert answer.status == 200
    found: list[dict[str, Any]] = []
    with tarfile.open(fileobj=io.BytesIO(answer.body), mode="r:gz") as archive:
        entries = archive.getmembers()
        assert entries[0].isdir()
        contents = (archive.extractfile(entry) for entry in entries if entry.isfile())
        texts = [content.read() for content in contents if content is not None]
    assert b"" in texts
    for text in filter(None, texts):
        found += json.loads(text)
    return found


def test_a_batch_goes_through_its_stages_and_keeps_every_answer(api: Api) -> None:
    body = json.dumps({"email_address": "a@example.com", "status": "subscribed"})
    path = submit(
        api,
        {"method": "POST", "path": f"{LIST}/members", "operation_id": "one", "body": body},
        {"method": "DELETE", "path": f"{LIST}/members/none@example.com", "operation_id": "two"},
    )
    assert api.call("GET", api.member("a@example.com")).status == 404
    seen = []
    for _ in range(8):
        shown = api.call("GET", path).body
        seen.append(shown["status"])
        api.clock.advance(5)
    assert list(dict.fromkeys(seen)) == ["pending", "preprocessing", "started", "finalizing", "finished"]
    assert (shown["total_operations"], shown["finished_operations"], shown["errored_operations"]) == (2, 2, 1)
    answers = {answer["operation_id"]: answer for answer in results(api, path)}
    assert json.loads(answers["one"]["response"])["email_address"] == "a@example.com"
    assert answers["two"]["status_code"] == 404


def test_a_batched_get_without_a_count_reads_all_pages(api: Api) -> None:
    for start in range(0, 1500, 500):
        bulk(api, *(item(f"p{n}") for n in range(start, start + 500)))
    path = submit(api, {"method": "GET", "path": f"{LIST}/members", "params": {"fields": "members.id,total_items"}})
    api.clock.advance(30)
    answers = results(api, path)
    assert sum(len(json.loads(answer["response"])["members"]) for answer in answers) == 1500
    assert len(answers) == 2


def test_result_links_die_after_ten_minutes_and_batches_after_a_week(api: Api) -> None:
    path = submit(api, {"method": "GET", "path": "/ping"})
    api.clock.advance(30)
    url = api.call("GET", path).body["response_body_url"].removeprefix("http://127.0.0.1:1")
    assert api.raw("GET", url).status == 400, "the account's key does not belong there"
    api.clock.advance(601)
    assert api.raw("GET", url, headers={}).status == 403
    assert results(api, path)
    api.clock.advance(7 * 86_400)
    assert api.call("GET", path).status == 404


def test_batches_run_one_after_another_and_can_be_cancelled(api: Api) -> None:
    first = submit(api, {"method": "GET", "path": "/ping"})
    second = submit(api, {"method": "GET", "path": "/ping"})
    api.clock.advance(30)
    assert [api.call("GET", path).body["status"] for path in (first, second)] == ["finished", "pending"]
    assert api.call("DELETE", second).status == 204
    assert api.call("GET", second).status == 404


def test_five_hundred_waiting_batches_are_too_many(api: Api) -> None:
    for _ in range(500):
        submit(api, {"method": "GET", "path": "/ping"})
    reply = api.call("POST", "/batches", {"operations": [{"method": "GET", "path": "/ping"}]})
    assert (reply.status, reply.body["title"]) == (429, "Too Many Requests")
