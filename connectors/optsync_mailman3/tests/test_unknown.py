"""What may have arrived is called unknown, whatever becomes of its repetition."""

from collections.abc import Iterator

import pytest
import requests
import responses

from optsync.model.change import Result, Write, WriteKind
from optsync.model.record import Status
from optsync_mailman3.tests.installation import BASE, LIST, SPEC, connector
from optsync_mailman3.tests.test_writing import ANNA, ROSTER, _create, _status


@pytest.fixture
def server() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def test_a_removal_that_may_have_arrived_is_not_called_failed_where_nobody_can_be_looked_up_after_its_repetition(
    server: responses.RequestsMock,
) -> None:
    """Called failed, the next reading takes who is not there for somebody who has left by themself."""
    server.delete(ROSTER, body=requests.ReadTimeout("slow"))
    server.delete(ROSTER, json={ANNA: False})
    server.get(f"{BASE}/lists/{LIST}/requests", status=500)
    server.get(f"{BASE}/members/find", status=500)
    (outcome,) = connector().write([_status(ANNA, Status.OUT)], SPEC)
    assert outcome.result in {Result.UNKNOWN, Result.SAME}


def test_a_removal_that_may_have_arrived_is_not_called_failed_where_its_repetition_is_refused_the_password(
    server: responses.RequestsMock,
) -> None:
    server.post(f"{BASE}/members", status=201)
    server.delete(ROSTER, body=requests.ReadTimeout("slow"))
    server.delete(ROSTER, status=401, json={"title": "401 Unauthorized"})
    (outcome,) = connector().write([_status(ANNA, Status.OUT)], SPEC)
    assert outcome.result is Result.UNKNOWN


def test_a_name_that_may_have_arrived_is_not_called_failed_where_its_repetition_is_refused_the_password(
    server: responses.RequestsMock,
) -> None:
    server.post(f"{BASE}/members", status=201)
    server.patch(f"{BASE}/addresses/anna@example.com", body=requests.ReadTimeout("slow"))
    server.patch(f"{BASE}/addresses/anna@example.com", status=401, json={"title": "401 Unauthorized"})
    named = Write(key="named", kind=WriteKind.FIELDS, collection=LIST, record=ANNA, fields={"display_name": "Anna"})
    _, outcome = connector().write([_create("bert@example.com"), named], SPEC)
    assert outcome.result is Result.UNKNOWN
