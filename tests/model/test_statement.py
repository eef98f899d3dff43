"""The identity of statements."""

from datetime import UTC, datetime
from typing import Any

import pytest

from optsync.model.statement import OUR_CLOCK, Source, StatementKind, Strength, counted_from, state

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)
SAID: dict[str, Any] = {
    "scope": "acme/news",
    "kind": StatementKind.OUT,
    "at": AT,
    "clock": "mc",
    "seen_at": LATER,
    "source": Source.ESP,
}


def test_a_ledger_that_was_written_by_an_earlier_release_knows_the_fact_again() -> None:
    assert state(**SAID).uid == "4456ae3e54d7c665294eab1b4c9dc242"


@pytest.mark.parametrize(
    "other",
    [
        {"scope": "acme"},
        {"kind": StatementKind.COMPLAINT},
        {"at": LATER},
        {"clock": None},
        {"source": Source.LINK},
        {"strength": Strength.TRUSTED},
        {"is_personal": True},
        {"system": "mc"},
        {"record": "7"},
        {"target": "x"},
    ],
)
def test_what_differs_in_what_was_said_is_another_statement(other: dict[str, Any]) -> None:
    assert state(**SAID).uid != state(**{**SAID, **other}).uid


@pytest.mark.parametrize(
    "other", [{"seen_at": datetime(2026, 5, 1, tzinfo=UTC)}, {"reason": "r"}, {"evidence": {"ip": "::1"}}]
)
def test_the_same_fact_told_again_is_the_same_statement(other: dict[str, Any]) -> None:
    assert state(**SAID).uid == state(**{**SAID, **other}).uid


def test_a_statement_keeps_every_part_of_what_was_said() -> None:
    parts: dict[str, Any] = {
        **SAID,
        "clock": OUR_CLOCK,
        "strength": Strength.EVIDENCED,
        "is_personal": True,
        "reason": "r",
        "system": "mc",
        "record": "7",
        "target": "x",
        "evidence": {"ip": "::1"},
    }
    said = state(**parts)

    assert {name: getattr(said, name) for name in parts} == parts


@pytest.mark.parametrize("kind", [StatementKind.OUT, StatementKind.COMPLAINT])
@pytest.mark.parametrize("clock", ["mc", OUR_CLOCK])
def test_a_no_from_before_our_clock_was_set_back_counts_from_then(kind: StatementKind, clock: str) -> None:
    moment = datetime(2026, 1, 3, tzinfo=UTC)
    parts = {**SAID, "kind": kind, "clock": clock, "reason": "r", "record": "7", "evidence": {"ip": "::1"}}
    assert counted_from(state(**parts), moment) == state(**{**parts, "at": moment, "seen_at": moment})


@pytest.mark.parametrize("other", [{"kind": StatementKind.GRANT}, {"kind": StatementKind.RETRACT}, {"clock": None}])
def test_a_yes_and_a_typed_time_stay_where_they_are(other: dict[str, Any]) -> None:
    said = state(**{**SAID, **other})
    assert counted_from(said, datetime(2026, 1, 3, tzinfo=UTC)) == said
