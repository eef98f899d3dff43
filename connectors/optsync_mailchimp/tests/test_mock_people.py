"""The population, the hands of people, and other clients than ours."""

import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import mailchimp_marketing
import pytest
import requests
from mailchimp_marketing.api_client import ApiClientError

from optsync.clock import ManualClock
from optsync.connect.mock import MockRequest, MockTransport, Person, VendorMock
from optsync.model.record import Origin, Status
from optsync_mailchimp.mock import MailchimpMock
from optsync_mailchimp.tests.api import LIST, START, Api

MARCH = datetime(2025, 3, 1, tzinfo=UTC)


def person(name: str, status: Status = Status.IN, origin: Origin = Origin.UNKNOWN, **more: object) -> Person:
    values: dict[str, object] = {"addresses": (f" {name}@Example.com ",), "created_at": MARCH, **more}
    return Person(number=1, first_name=name.title(), last_name="Lee", status=status, origin=origin, **values)  # type: ignore[arg-type]


@pytest.fixture
def api() -> Api:
    return Api()


def test_the_mock_is_a_vendor_mock() -> None:
    mock: VendorMock = MailchimpMock(clock=ManualClock(START), rng=random.Random(1))
    assert mock.config("http://127.0.0.1:9").system["base_url"] == "http://127.0.0.1:9/3.0"


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (Status.IN, "subscribed"),
        (Status.OUT, "unsubscribed"),
        (Status.PENDING, "pending"),
        (Status.BOUNCED, "cleaned"),
        (Status.ARCHIVED, "archived"),
        (Status.UNKNOWN, "transactional"),
    ],
)
def test_people_become_contacts_with_their_status(api: Api, status: Status, word: str) -> None:
    api.mock.populate([person("ann", status, city="Rome", plan="Gold", esp_topics={"news": True, "offers": False})])
    shown = api.call("GET", api.member("ann@example.com")).body
    assert (shown["status"], shown["email_address"]) == (word, "ann@Example.com")
    assert shown["merge_fields"] == {"FNAME": "Ann", "LNAME": "Lee", "CITY": "Rome", "PLAN": "Gold", "PHONE": ""}
    assert shown["last_changed"] == "2025-03-01T00:00:00+00:00"
    view = api.act("view", email="ANN@example.com")
    assert view["status"] == status
    assert view["topics"] == {"news": True, "offers": False, "events": False}


@pytest.mark.parametrize(
    ("origin", "allowed"), [(Origin.PERSON, False), (Origin.COMPLAINT, False), (Origin.ADMIN, True)]
)
def test_only_an_administrative_opt_out_can_be_reversed(api: Api, origin: Origin, allowed: bool) -> None:
    api.mock.populate([person("ann", Status.OUT, origin)])
    assert api.act("flip_in", email="ann@example.com") is allowed


def test_people_with_one_address_are_one_contact_and_others_stay_away(api: Api) -> None:
    twin = person("Ann", addresses=("ANN@example.COM",))
    api.mock.populate([person("ann"), twin, person("bob", in_esp=False), person("eve", addresses=())])
    assert api.act("count")["records"] == 1


def test_an_evidenced_opt_in_has_its_stamp_and_its_sign_up(api: Api) -> None:
    api.mock.populate([person("ann", opted_in_at=MARCH)])
    path = api.member("ann@example.com")
    assert api.call("GET", path).body["timestamp_opt"] == "2025-03-01T00:00:00+00:00"
    (item,) = api.call("GET", f"{path}/activity-feed").body["activity"]
    assert item["activity_type"] == "signup"


def test_an_activity_tells_by_what_the_contact_signed_up(api: Api) -> None:
    email = "ann@example.com"
    api.mock.populate([person("ann", Status.OUT, Origin.ADMIN)])
    assert api.act("flip_in", email=email)
    api.act("resubscribe", email=email, kind="landing_page_signup", landing_page_title="Spring")
    path = f"{api.member(email)}/activity-feed"
    kinds = "generic_signup,landing_page_signup"
    page, program = api.call("GET", path, activity_filters=kinds).body["activity"]
    assert (page["landing_page_title"], program["signup_category"]) == ("Spring", "API")
    assert api.call("GET", path, activity_filters="signup,nonsense").status == 400


def test_people_change_their_own_data(api: Api) -> None:
    api.mock.populate([person("ann")])
    email = "ann@example.com"
    api.act("set_field", email=email, field="city", value="Oslo")
    api.act("set_topic", email=email, topic="events", wanted=True)
    assert api.act("change_address", email=email, to="ann@example.org") is True
    view = api.act("view", email="ann@example.org")
    assert (view["fields"]["city"], view["topics"]["events"]) == ("Oslo", True)
    assert view["last_changed"] == "2026-03-01T12:00:00+00:00"
    api.act("bounce", email="ann@example.org")
    assert api.act("view", email="ann@example.org")["status"] == Status.BOUNCED
    api.act("delete", email="ann@example.org")
    assert api.act("view", email="ann@example.org")["status"] == Status.ARCHIVED


def test_unknown_actions_and_contacts_are_key_errors(api: Api) -> None:
    with pytest.raises(KeyError):
        api.act("dance")
    with pytest.raises(KeyError):
        api.act("unsubscribe", email="nobody@example.com")


def test_requests_reach_the_mock_through_the_transport(api: Api) -> None:
    session = requests.Session()
    session.mount("http://mock.test", MockTransport({"http://mock.test": api.mock}))
    system = api.mock.config("http://mock.test").system
    answer = session.get(f"{system['base_url']}{LIST}", auth=("any", system["api_key"]), timeout=5)
    assert answer.json()["name"] == "Newsletter"


@pytest.fixture
def port(api: Api) -> Iterator[int]:
    """The mock behind a loopback server."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {key.lower(): value for key, value in self.headers.items()}
            request = MockRequest(method=self.command, path=parts.path, query=parts.query, headers=headers, body=body)
            answer = api.mock.handle(request)
            self.send_response_only(answer.status)
            for key, value in answer.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 (the names that the server looks for)

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_official_client_works_against_the_mock(api: Api, port: int) -> None:
    client = mailchimp_marketing.Client({"api_key": api.mock.account.api_key, "server": "us6"})
    client.api_client.host = f"http://127.0.0.1:{port}/3.0"
    client.api_client.server = ""
    assert client.ping.get() == {"health_status": "Everything's Chimpy!"}
    audience = LIST.rsplit("/", 1)[1]
    made = client.lists.add_list_member(audience, {"email_address": "ann@example.com", "status": "subscribed"})
    client.lists.update_list_member_tags(audience, made["id"], {"tags": [{"name": "crm", "status": "active"}]})
    changed = client.lists.update_list_member(audience, made["id"], {"merge_fields": {"FNAME": "Ann"}})
    assert (changed["merge_fields"]["FNAME"], changed["tags"][0]["name"]) == ("Ann", "crm")
    assert client.lists.get_list_members_info(audience, count=1000)["total_items"] == 1
    batch = {"members": [{"email_address": "bob@example.com", "status": "pending"}], "update_existing": True}
    assert client.lists.batch_list_members(audience, batch)["total_created"] == 1
    client.lists.delete_list_member(audience, made["id"])
    with pytest.raises(ApiClientError) as refused:
        client.lists.delete_list_member(audience, made["id"])
    assert refused.value.status_code == 405
