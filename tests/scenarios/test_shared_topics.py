"""A topic of two audiences: what one sync makes of its two sides and holds for a person is written by neither."""

from pathlib import Path
from typing import Any

import pytest

from optsync.sync.issues import retry
from optsync.sync.plans import approve, reject
from optsync.sync.run import run_cycle
from tests.scenarios.test_removed_sync import ANN, BEN, ON, OneCrm
from tests.scenarios.world import person

pytestmark = pytest.mark.rule("suspicious volume stops")


def _events(one: OneCrm, email: str) -> list[bool]:
    """What the CRM and the two audiences show, the second last."""
    shown = (one.w.crm_shows(email), one.w.esp_shows(email), one.esp.act("view", email=email))
    return [each["topics"]["events"] for each in shown]


def _mapped_for_the_first_audience(folder: Path) -> tuple[OneCrm, Any]:
    """Ann has the topic by the CRM and the second audience, and never had it in the first, where it is mapped now; that
    sync's part of the next cycle."""
    one = OneCrm(folder, person(1, **ON), person(2, **ON))
    one.w.esp.act("set_topic", email=ANN, topic="events", wanted=False)
    one.sync()
    one.sync()
    one.is_alone = False
    one.start(has_second=True)
    one.w.wait(minutes=10)
    return one, run_cycle(one.engine).syncs["newsletter"]


def test_a_disagreement_that_is_held_in_one_sync_is_not_written_by_another(tmp_path: Path) -> None:
    one, held = _mapped_for_the_first_audience(tmp_path)

    assert held.state == "held"
    one.sync()
    assert _events(one, ANN) == [True, False, True]
    approve(one.engine, str(held.plan), actor="Eve")
    one.sync()
    assert _events(one, ANN) == [False, False, False]
    assert _events(one, BEN) == [True, True, True]
    assert not one.sync().changes


def test_a_disagreement_that_is_rejected_in_one_sync_is_not_written_by_another(tmp_path: Path) -> None:
    one, held = _mapped_for_the_first_audience(tmp_path)
    reject(one.engine, str(held.plan), actor="Eve")
    one.sync()
    one.sync()

    assert _events(one, ANN) == [True, False, True]
    with one.w.store.reading() as unit:
        (asked,) = unit.issues.list(kind="plan_rejected")
    retry(one.engine, [asked.id])
    one.sync()
    one.sync()
    assert _events(one, ANN) == [False, False, False]


def test_what_somebody_says_meanwhile_is_written_at_once(tmp_path: Path) -> None:
    one, held = _mapped_for_the_first_audience(tmp_path)
    one.esp.act("set_topic", email=ANN, topic="events", wanted=False)
    one.sync()
    one.sync()

    assert held.state == "held"
    assert _events(one, ANN) == [False, False, False]
