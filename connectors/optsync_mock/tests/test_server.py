import random
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
import requests

from optsync.clock import ManualClock
from optsync_mock.faults import FaultKind, Only, Rule
from optsync_mock.server import RunningServer
from optsync_mock.tests.ledger_mock import LedgerMock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def mock() -> LedgerMock:
    return LedgerMock(clock=ManualClock(NOON), rng=random.Random(1))


@pytest.fixture
def server(mock: LedgerMock) -> Iterator[RunningServer]:
    with RunningServer(mocks={"ledger": mock}, clock=ManualClock(NOON)) as running:
        yield running


def test_a_request_below_the_mount_reaches_the_mock_as_the_vendor_would_see_it(
    server: RunningServer, mock: LedgerMock
) -> None:
    sent = requests.put(
        f"{server.url}/ledger/a%40b%2Fc?x=1&y=%20",
        data="wörld".encode(),
        headers={"X-Two-Words": "Yes"},
        timeout=5,
    )
    assert sent.status_code == 200
    assert mock.last is not None
    assert (mock.last.method, mock.last.path, mock.last.query) == ("PUT", "/a%40b%2Fc", "x=1&y=%20")
    assert mock.last.body.decode() == "wörld"
    assert mock.last.headers["x-two-words"] == "Yes"
    assert mock.last.base_url == f"{server.url}/ledger" == server.base_url("ledger")


def test_a_large_body_arrives_whole(server: RunningServer, mock: LedgerMock) -> None:
    requests.put(f"{server.url}/ledger/big", data=b"x" * 3_000_000, timeout=5)
    assert len(mock.stored["big"]) == 3_000_000


def test_answers_carry_the_date_of_the_servers_clock(server: RunningServer) -> None:
    answer = requests.get(f"{server.url}/ledger/nothing", timeout=5)
    assert parsedate_to_datetime(answer.headers["Date"]) == NOON


def test_an_unknown_mount_is_named_and_not_found(server: RunningServer) -> None:
    answer = requests.get(f"{server.url}/elsewhere/x", timeout=5)
    assert answer.status_code == 404
    assert "ledger" in answer.json()["error"]


def test_a_lost_connection_is_closed_without_a_byte_and_the_server_goes_on(server: RunningServer) -> None:
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{server.url}/ledger/lost", timeout=5)
    assert requests.get(f"{server.url}/ledger/nothing", timeout=5).status_code == 404


def test_people_act_through_the_control_api(server: RunningServer, mock: LedgerMock) -> None:
    done = requests.post(f"{server.url}/_mock/ledger/act/put", json={"key": "k", "value": "v"}, timeout=5)
    assert (done.status_code, done.json()) == (200, None)
    assert mock.stored == {"k": "v"}
    assert requests.post(f"{server.url}/_mock/ledger/act/count", timeout=5).json() == {"records": 1}
    assert server.act("ledger", "count") == {"records": 1}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("ledger/act/dance", b"{}", 404),
        ("nobody/act/count", b"{}", 404),
        ("ledger/act/put", b"[1]", 400),
        ("ledger/act/put", b"{", 400),
        ("ledger/act/put", b'{"key": "k"}', 400),
        ("faults", b'{"rules": [{"kind": "earthquake"}]}', 400),
        ("faults", b'{"rules": [{"kind": "drop", "pathh": "/x"}]}', 400),
        ("elsewhere", b"", 404),
    ],
)
def test_a_wrong_control_request_says_what_is_wrong(server: RunningServer, path: str, body: bytes, status: int) -> None:
    answer = requests.post(f"{server.url}/_mock/{path}", data=body, timeout=5)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_the_log_counts_calls_and_writes_and_shows_the_newest_requests(server: RunningServer) -> None:
    for number in range(3):
        requests.put(f"{server.url}/ledger/k{number}", data="v", timeout=5)
    requests.get(f"{server.url}/ledger/k0?q=1", timeout=5)
    log = requests.get(f"{server.url}/_mock/ledger/log?last=2", timeout=5).json()
    assert (log["calls"], log["writes"]) == (4, 3)
    assert [(r["method"], r["path"], r["query"], r["status"]) for r in log["requests"]] == [
        ("PUT", "/k2", "", 200),
        ("GET", "/k0", "q=1", 200),
    ]
    requests.delete(f"{server.url}/_mock/ledger/log", timeout=5)
    assert server.log("ledger") == {"calls": 0, "writes": 0, "requests": []}


def test_the_configuration_of_every_mock_names_its_role_and_where_it_is(server: RunningServer) -> None:
    shown = requests.get(f"{server.url}/_mock/config", timeout=5).json()
    assert shown["ledger"]["role"] == "esp"
    assert shown["ledger"]["system"] == {"base_url": f"{server.url}/ledger"} == server.config("ledger").system
    assert shown["ledger"]["fields"] == {"first_name": "FIRST"}


def test_faults_are_set_shown_and_ended_over_http(server: RunningServer, mock: LedgerMock) -> None:
    rules = {"rules": [{"kind": "error_503", "only": "writes", "path": "/k*"}]}
    assert requests.post(f"{server.url}/_mock/faults", json=rules, timeout=5).status_code == 200
    assert requests.put(f"{server.url}/ledger/k", data="v", timeout=5).status_code == 503
    assert requests.get(f"{server.url}/ledger/k", timeout=5).status_code == 404
    shown = requests.get(f"{server.url}/_mock/faults", timeout=5).json()
    assert shown["hits"] == 1
    assert shown["rules"][0]["path"] == "/k*"
    requests.delete(f"{server.url}/_mock/faults", timeout=5)
    assert requests.put(f"{server.url}/ledger/k", data="v", timeout=5).status_code == 200


def test_a_connection_dropped_after_the_write_leaves_the_write(server: RunningServer, mock: LedgerMock) -> None:
    server.faults.replace([Rule(kind=FaultKind.DROP_AFTER, only=Only.WRITES, nth=1)])
    with pytest.raises(requests.ConnectionError):
        requests.put(f"{server.url}/ledger/k", data="v", timeout=5)
    assert mock.stored == {"k": "v"}


def test_a_truncated_answer_breaks_off_before_its_promised_length(server: RunningServer, mock: LedgerMock) -> None:
    server.faults.replace([Rule(kind=FaultKind.TRUNCATED_AFTER, nth=1)])
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.put(f"{server.url}/ledger/k", data="v", timeout=5)
    assert mock.stored == {"k": "v"}


def test_a_late_answer_outlasts_an_impatient_client_and_never_comes(server: RunningServer, mock: LedgerMock) -> None:
    server.faults.replace([Rule(kind=FaultKind.TIMEOUT_AFTER, delay=0.5)])
    with pytest.raises(requests.ReadTimeout):
        requests.put(f"{server.url}/ledger/k", data="v", timeout=0.1)
    with pytest.raises(requests.ConnectionError):
        requests.put(f"{server.url}/ledger/l", data="v", timeout=5)
    assert mock.stored == {"k": "v", "l": "v"}
