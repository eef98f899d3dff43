import random
from collections import Counter
from datetime import UTC, datetime

import pytest
import requests

from optsync.clock import ManualClock
from optsync.connect.mock import AnswerLate, ConnectionLost, MockRequest, MockTransport, VendorMock
from optsync.model.record import Side
from optsync_mock.faults import FaultInjector, FaultKind, FaultyMock, Only, Rule, weather
from optsync_mock.tests.ledger_mock import LedgerMock

PUT = MockRequest(method="PUT", path="/k", body=b"value")
GET = MockRequest(method="GET", path="/k")
APPLIED = {kind for kind in FaultKind if kind.endswith("_after")}


def faulty(*rules: Rule, seed: int = 1) -> tuple[FaultyMock, LedgerMock]:
    inner = LedgerMock(clock=ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), rng=random.Random(1))
    return FaultyMock(inner, FaultInjector(random.Random(seed), rules)), inner


@pytest.mark.parametrize("kind", list(FaultKind))
def test_a_fault_takes_the_answer_and_only_those_that_come_after_leave_the_write(kind: FaultKind) -> None:
    mock, inner = faulty(Rule(kind=kind))
    try:
        answer = mock.handle(PUT)
    except ConnectionLost:
        pass
    else:
        is_whole = int(answer.headers.get("Content-Length", len(answer.body))) == len(answer.body)
        assert answer.status >= 400 or not is_whole
    assert ("k" in inner.stored) is (kind in APPLIED)


@pytest.mark.parametrize(
    ("kind", "status", "is_html"),
    [
        (FaultKind.TOO_MANY, 429, False),
        (FaultKind.TOO_MANY_BARE, 429, False),
        (FaultKind.ERROR_500, 500, False),
        (FaultKind.ERROR_502, 502, True),
        (FaultKind.ERROR_503, 503, False),
        (FaultKind.ERROR_503_HTML, 503, True),
        (FaultKind.FORBIDDEN, 403, True),
        (FaultKind.ERROR_502_AFTER, 502, True),
    ],
)
def test_error_pages_have_their_status_and_kind(kind: FaultKind, status: int, is_html: bool) -> None:
    answer = faulty(Rule(kind=kind))[0].handle(PUT)
    assert answer.status == status
    assert ("html" in answer.headers["Content-Type"]) is is_html


def test_only_one_of_the_limits_says_when_to_come_back() -> None:
    assert faulty(Rule(kind=FaultKind.TOO_MANY, retry_after=7))[0].handle(PUT).headers["Retry-After"] == "7"
    assert "Retry-After" not in faulty(Rule(kind=FaultKind.TOO_MANY_BARE))[0].handle(PUT).headers


def test_a_rule_hits_the_nth_request_that_matches_it() -> None:
    mock, _ = faulty(Rule(kind=FaultKind.ERROR_500, method="put", path="/k*", nth=2))
    other = MockRequest(method="PUT", path="/other")
    assert [mock.handle(r).status for r in (PUT, GET, other, PUT, PUT)] == [200, 200, 200, 500, 200]


def test_a_rule_without_condition_hits_until_its_times_are_used_up() -> None:
    mock, _ = faulty(Rule(kind=FaultKind.ERROR_500, times=2))
    assert [mock.handle(PUT).status for _ in range(4)] == [500, 500, 200, 200]


def test_a_rule_can_be_for_reads_or_writes_or_another_mock() -> None:
    reads, _ = faulty(Rule(kind=FaultKind.ERROR_500, only=Only.READS))
    assert [reads.handle(r).status for r in (PUT, GET)] == [200, 500]
    elsewhere, _ = faulty(Rule(kind=FaultKind.ERROR_500, mock="other*"))
    assert elsewhere.handle(PUT).status == 200


def test_the_same_seed_meets_the_same_weather() -> None:
    assert _storm(seed=5) == _storm(seed=5) != _storm(seed=6)


def test_weather_hits_the_share_it_was_given_with_every_kind_alike() -> None:
    injector = FaultInjector(random.Random(3), weather(0.26))
    hits = [injector.pick("any", PUT, is_write=True) for _ in range(20_000)]
    by_kind = Counter(rule.kind for rule in hits if rule)
    assert 0.25 < sum(by_kind.values()) / 20_000 < 0.27
    assert set(by_kind) == set(FaultKind)
    assert max(by_kind.values()) < 1.4 * min(by_kind.values())


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_weather_is_never_or_always_bad_at_its_ends(rate: float) -> None:
    injector = FaultInjector(random.Random(3), weather(rate))
    assert {injector.pick("any", PUT, is_write=True) is not None for _ in range(500)} == {bool(rate)}


def test_an_impossible_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        weather(1.5)


def test_a_faulty_mock_is_a_mock_under_the_name_of_what_it_wraps() -> None:
    mock: VendorMock = faulty()[0]
    assert (mock.name, mock.side) == ("ledger", Side.ESP)
    assert mock.act("count") == {"records": 0}
    assert mock.config("http://127.0.0.1:1/ledger").side == {"audience": "one"}


def test_in_process_a_cut_answer_and_a_late_one_look_like_on_the_network() -> None:
    for kind, expected in (
        (FaultKind.TRUNCATED_AFTER, requests.exceptions.ChunkedEncodingError),
        (FaultKind.TIMEOUT, requests.ReadTimeout),
        (FaultKind.DROP, requests.ConnectionError),
    ):
        session = requests.Session()
        session.mount("http://", MockTransport({"http://ledger.test": faulty(Rule(kind=kind))[0]}))
        with pytest.raises(expected):
            session.put("http://ledger.test/k", data="v", timeout=1)


def test_a_late_answer_says_how_late() -> None:
    with pytest.raises(AnswerLate, match="no answer for 9 s"):
        faulty(Rule(kind=FaultKind.TIMEOUT, delay=9))[0].handle(PUT)


def _storm(seed: int) -> list[FaultKind | None]:
    injector = FaultInjector(random.Random(seed), weather(0.5))
    picked = [injector.pick("any", GET, is_write=False) for _ in range(40)]
    return [rule.kind if rule else None for rule in picked]
