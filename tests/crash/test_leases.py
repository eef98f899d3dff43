"""Two processes on one database: one works, the other waits; whoever stood still for too long does nothing more."""

import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from sqlalchemy.engine import make_url

from tests.crash.checks import contents, duplicates
from tests.crash.days import Days
from tests.crash.processes import pause
from tests.crash.shared import Aim, Phase
from tests.crash.stage import KINDS, Stage, people, staged, state_url
from tests.postgresql import require_server, text_of

pytestmark = pytest.mark.slow

LEASE = 60
"""Seconds without a beat after which it is free."""

PHASES = (
    (Phase.DECIDING, 6, 9),
    (Phase.BEFORE_A_WRITE, 2, 2),
    (Phase.AFTER_A_WRITE, 1, 2),
    (Phase.READING, 4, 6),
    (Phase.BEFORE_A_WRITE, 1, 1),
    (Phase.DECIDING, 10, 13),
)
"""Where to stop: the phase, and the how manieth entry, from when the leases are taken."""


@pytest.fixture(params=KINDS)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """Both systems know the same people, and the first cycle is over."""
    if request.param == "postgresql":
        require_server()
    with staged(tmp_path, state_url(request.param, tmp_path), people(40)) as made:
        made.sync()
        yield made


def test_a_process_that_stood_still_past_its_lease_writes_and_commits_nothing_more(stage: Stage) -> None:
    days, rng = Days(stage), Random(4)
    for phase, least, most in PHASES:
        days.go_on()
        first = stage.program("sync", "--json")
        first.start(Aim(rng.randint(least, most), phase, signal.SIGSTOP))
        assert first.wait_until_stopped(), first.printed
        stage.wait((LEASE + 1) / 60)
        second = stage.program("sync", "--json")
        second.start()
        assert second.wait().code == 0, (phase, second.printed)
        before, writes = contents(stage.url), stage.vendors.writes()

        ended = first.go_on()

        assert (stage.vendors.writes(), phase) == (writes, phase)
        assert contents(stage.url) == before, phase
        assert ended.code == 1, (phase, first.printed)
    stage.sync()
    assert days.has_arrived()
    assert duplicates(stage.url) == []


def test_two_processes_at_once_do_the_work_once(stage: Stage) -> None:
    days = Days(stage)
    days.go_on()
    for mock in (stage.crm, stage.esp):
        mock("drain")
    both = [stage.program("sync", "--json") for _ in range(2)]
    for each in both:
        each.start()
    codes = {each.wait().code for each in both}
    assert 0 in codes
    assert days.has_arrived()
    written = [(w["method"], str(w["fields"])) for mock in (stage.crm, stage.esp) for w in mock("drain")]
    assert len(set(written)) == len(written) > 0
    assert duplicates(stage.url) == []


def test_a_process_that_stands_still_in_a_transaction_keeps_others_out_until_its_session_ends(tmp_path: Path) -> None:
    require_server()
    patience = "-c lock_timeout=500 -c idle_in_transaction_session_timeout=2000"
    url = make_url(state_url("postgresql", tmp_path)).update_query_dict({"options": patience})
    with staged(tmp_path, text_of(url), people(40)) as stage:
        stage.sync()
        days = Days(stage)
        days.go_on()
        first = stage.program("sync", "--json")
        first.start(Aim(12, Phase.COMMITTING, signal.SIGSTOP))
        assert first.wait_until_stopped(), first.printed
        stage.wait((LEASE + 1) / 60)

        at_once = stage.program("sync", "--json")
        at_once.start()
        assert at_once.wait().code == 1
        assert "another process, in a transaction that has not ended yet" in at_once.printed
        pause(2)
        stage.sync()
        before, writes = contents(stage.url), stage.vendors.writes()

        assert first.go_on().code != 0
        assert (contents(stage.url), stage.vendors.writes()) == (before, writes)
        assert days.has_arrived()


def test_a_rehearsal_on_a_server_that_stands_still_keeps_nobody_waiting(tmp_path: Path) -> None:
    require_server()
    url = make_url(state_url("postgresql", tmp_path)).update_query_dict({"options": "-c lock_timeout=500"})
    with staged(tmp_path, text_of(url), people(40)) as stage:
        stage.sync()
        days = Days(stage)
        days.go_on()
        rehearsal = stage.program("plan", "--json")
        rehearsal.start(Aim(4, Phase.READING, signal.SIGSTOP))
        assert rehearsal.wait_until_stopped(), rehearsal.printed

        stage.sync()
        assert days.has_arrived()
        before, writes = contents(stage.url), stage.vendors.writes()
        assert rehearsal.go_on().code == 0
        assert (contents(stage.url), stage.vendors.writes()) == (before, writes)
