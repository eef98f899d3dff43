"""Answers that hurt: whatever a vendor sends, no opt-out is lost and nobody is touched who said nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from optsync.connect.mock import MockTransport
from optsync.model.record import Status
from tests.scenarios.world import CRM, ESP, World, person

pytestmark = pytest.mark.rule("no opt-out is lost")

Mutate = Callable[[Any, requests.Response], Any]


class Hurting(MockTransport):
    """Alters the answers of one side for a while."""

    def __init__(self, w: World, base: str, mutate: Mutate) -> None:
        super().__init__({CRM: w.crm, ESP: w.esp})
        self.base = base
        self.mutate = mutate
        self.left = 0
        self.struck = 0

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        response = super().send(request, *args, **options)
        if self.left and str(request.url).startswith(self.base):
            body = response.content
            altered = self.mutate(json.loads(body) if body else None, response)
            if altered is not None:
                self.left -= 1
                self.struck += 1
                response._content = altered if isinstance(altered, bytes) else json.dumps(altered).encode()
        return response


def html(_: Any, response: requests.Response) -> bytes:
    response.headers["Content-Type"] = "text/html"
    return b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def html_with_status(_: Any, response: requests.Response) -> bytes:
    response.status_code = 502
    return html(_, response)


def error_with_200(body: Any, response: requests.Response) -> Any:
    response.status_code = 200
    return {"error": "INTERNAL_SERVER_ERROR", "error_description": "Interner Fehler", "status": 500, "title": "Fehler"}


def list_for_map(body: Any, _: requests.Response) -> Any:
    return []


def list_for_inner_map(body: Any, _: requests.Response) -> Any:
    if isinstance(body, dict) and isinstance(body.get("result"), dict) and "result" in body["result"]:
        return {**body, "result": {**body["result"], "result": []}}
    return None


def localized_limit(_: Any, response: requests.Response) -> Any:
    response.status_code = 429
    return {"title": "Zu viele Anfragen", "status": 429, "detail": "Sie haben das Limit überschritten.", "instance": ""}


def total_moves(body: Any, _: requests.Response) -> Any:
    if isinstance(body, dict) and "total_items" in body:
        return {**body, "total_items": body["total_items"] + 7}
    return None


def row_repeats(body: Any, _: requests.Response) -> Any:
    if isinstance(body, dict) and body.get("members"):
        return {**body, "members": [*body["members"], body["members"][0]]}
    pages = body.get("result", {}).get("result") if isinstance(body, dict) else None
    if isinstance(pages, dict) and any(isinstance(p, list) and p for p in pages.values()):
        doubled = {key: [*page, page[0]] if isinstance(page, list) and page else page for key, page in pages.items()}
        return {**body, "result": {**body["result"], "result": doubled}}
    return None


def rows_are_missing(body: Any, _: requests.Response) -> Any:
    if isinstance(body, dict) and body.get("members"):
        return {**body, "members": []}
    return None


def strange_words(body: Any, _: requests.Response) -> Any:
    if isinstance(body, dict) and body.get("members"):
        return {**body, "members": [{**member, "status": "snoozed"} for member in body["members"]]}
    return None


def truncated(body: Any, response: requests.Response) -> bytes:
    return response.content[: len(response.content) // 2]


def lost(_: Any, response: requests.Response) -> bytes:
    raise requests.ConnectionError("Connection aborted.")


HURTS = [
    html,
    html_with_status,
    error_with_200,
    list_for_map,
    list_for_inner_map,
    localized_limit,
    total_moves,
    row_repeats,
    rows_are_missing,
    truncated,
    lost,
]


@pytest.mark.parametrize("hits", [1, 3, 40])
@pytest.mark.parametrize("side", ["crm", "esp"])
@pytest.mark.parametrize("mutate", HURTS, ids=lambda m: m.__name__)
def test_no_answer_loses_an_opt_out(tmp_path: Path, mutate: Mutate, side: str, hits: int) -> None:
    w = World(tmp_path, [person(number) for number in range(1, 6)])
    hurting = Hurting(w, CRM if side == "crm" else ESP, mutate)
    w._transport = hurting
    w.engine = w.compose()
    w.sync()
    w.esp.act("unsubscribe", email="ann1@example.com")
    w.crm.act("opt_out", email="ann2@example.com")
    w.crm.act("set_field", email="ann3@example.com", field="city", value="Oslo")
    hurting.left = hits
    w.sync(full=True)
    w.sync()
    hurting.left = 0
    for _ in range(2):
        w.sync()

    for email in ("ann1@example.com", "ann2@example.com"):
        assert w.crm_shows(email)["opt_out"] is True
        assert w.esp_shows(email)["status"] == Status.OUT
    for number in (3, 4, 5):
        email = f"ann{number}@example.com"
        assert not w.crm_shows(email)["opt_out"]
        assert w.esp_shows(email)["status"] == Status.IN
    assert w.esp_shows("ann3@example.com")["fields"]["city"] == "Oslo"
    w.transport.requests = hurting.requests
    w.settle()


def test_the_first_sync_survives_every_hurt_too(tmp_path: Path) -> None:
    for number, mutate in enumerate(HURTS):
        folder = tmp_path / str(number)
        folder.mkdir()
        w = World(folder, [person(1, opt_out=True), person(2, status=Status.OUT), person(3)])
        hurting = Hurting(w, ESP, mutate)
        hurting.left = 2
        w._transport = hurting
        w.engine = w.compose()
        w.sync()
        hurting.left = 0
        w.sync()

        assert w.esp_shows("ann1@example.com")["status"] == Status.OUT, mutate.__name__
        assert w.crm_shows("ann2@example.com")["opt_out"] is True, mutate.__name__
        assert w.esp_shows("ann3@example.com")["status"] == Status.IN, mutate.__name__


@pytest.mark.parametrize("is_taken_off", [True, False])
def test_who_is_taken_off_the_list_behind_a_status_that_nobody_knows_is_out(tmp_path: Path, is_taken_off: bool) -> None:
    email = "ann1@example.com"
    w = World(tmp_path, [person(1), person(2)], policy={"existing": "legacy_grant"})
    hurting = Hurting(w, ESP, strange_words)
    w.use(hurting)
    w.sync()
    hurting.left = 2
    w.esp.act("set_field", email=email, field="city", value="Oslo")
    w.sync()
    assert (hurting.struck, w.crm_shows(email)["opt_in"]) == (1, True)
    hurting.left = 0
    if is_taken_off:
        w.esp.act("unlist", email=email)
    else:
        w.esp.act("set_field", email=email, field="city", value="Rome")
    w.sync()

    shows = w.crm_shows(email)
    assert (shows["opt_out"], shows["opt_in"]) == (is_taken_off, not is_taken_off)
    w.transport.requests = hurting.requests
    w.settle()


@pytest.mark.parametrize("half", [rb"\ud83d", b"\xf0\x9f\x98"])
@pytest.mark.parametrize("side", ["crm", "esp"])
def test_a_character_that_a_system_cut_in_half_hides_nobodys_opt_out(tmp_path: Path, side: str, half: bytes) -> None:
    w = World(tmp_path, [person(1), person(2)])
    w.sync()
    changed, other = (w.crm, w.esp) if side == "crm" else (w.esp, w.crm)
    changed.act("set_field", email="ann1@example.com", field="city", value="Riga CUT")
    changed.act("opt_out" if side == "crm" else "unsubscribe", email="ann2@example.com")
    cut = Hurting(w, CRM if side == "crm" else ESP, lambda _, response: response.content.replace(b"CUT", half))
    cut.left = 1000
    w.use(cut)
    w.sync()

    shown = other.act("view", email="ann2@example.com")
    assert shown["status"] == Status.OUT if side == "crm" else shown["opt_out"] is True
    assert other.act("view", email="ann1@example.com")["fields"]["city"].startswith("Riga")
    w.rest()


def test_a_value_that_does_not_fit_its_field_hides_no_opt_out_of_the_same_contact(tmp_path: Path) -> None:
    number = {"crm": "UF_CRM_SIZE", "esp": "CITY", "direction": "to_esp"}
    w = World(tmp_path, [person(1), person(2)], changes={"fields": [number]})
    w.crm.act("add_field", field="UF_CRM_SIZE", kind="double")
    w.sync()
    w.crm.act("edit", id=1, fields={"UF_CRM_SIZE": "777"})
    w.crm.act("opt_out", email="ann1@example.com")
    odd = Hurting(w, CRM, lambda _, response: response.content.replace(b'"777"', b'"very large"'))
    odd.left = 1000
    w.use(odd)
    w.sync()

    assert w.esp_shows("ann1@example.com")["status"] == Status.OUT
    w.rest()


@pytest.mark.parametrize("stamp", ["DATE_CREATE", "DATE_MODIFY"])
def test_a_stamp_that_is_no_time_hides_no_opt_out_of_the_same_contact(tmp_path: Path, stamp: str) -> None:
    def before_all_time(body: Any, _: requests.Response) -> Any:
        pages = body.get("result", {}).get("result") if isinstance(body, dict) else None
        for page in pages.values() if isinstance(pages, dict) else ():
            for row in page if isinstance(page, list) else ():
                row[stamp] = "-0001-11-30T00:00:00+02:00"
        return body

    w = World(tmp_path, [person(1), person(2)])
    odd = Hurting(w, CRM, before_all_time)
    odd.left = 1000
    w.use(odd)
    w.sync()
    w.crm.act("opt_out", email="ann1@example.com")
    w.sync()

    assert w.esp_shows("ann1@example.com")["status"] == Status.OUT
    assert w.esp_shows("ann2@example.com")["status"] == Status.IN
    w.rest()


def test_an_address_that_is_broken_in_an_answer_is_nobodys(tmp_path: Path) -> None:
    w = World(tmp_path, [person(1), person(2)])
    w.sync()
    w.crm.act("set_field", email="ann1@example.com", field="city", value="Oslo")
    odd = Hurting(w, CRM, lambda _, response: response.content.replace(b'"ann1@', b'"an\xff1@'))
    odd.left = 1000
    w.use(odd)
    w.sync()
    with w.store.reading() as unit:
        assert not unit.points.find(["an\ufffd1@example.com"])
        assert [issue.kind for issue in unit.issues.list()] == ["invalid_address"]

    w.use(w.transport)
    w.esp.act("unsubscribe", email="ann1@example.com")
    w.sync(full=True)
    assert w.crm_shows("ann1@example.com")["opt_out"] is True
    w.settle()
    with w.store.reading() as unit:
        assert unit.issues.list() == []
