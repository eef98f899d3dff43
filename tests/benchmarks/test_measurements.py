"""Each measurement runs with few people and says what can be true; how long anything takes is nobody's test."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, cast

import pytest
from benchmarks import budget, calls, growth, others
from benchmarks.course import Stage
from benchmarks.measurements import MEASUREMENTS
from benchmarks.prose import ABOUT
from benchmarks.tools import ToolMissing
from benchmarks.vendors import Town

from tests.architecture.sources import ROOT
from tests.benchmarks.conftest import PEOPLE, Measured
from tests.postgresql import require_server

pytestmark = pytest.mark.slow

_PHASES = ["first sync", "full compare", "no change", "1 % a side", "decide and journal"]


def test_calls_are_never_fewer_than_the_least_and_none_writes_where_nothing_changed(measured: Measured) -> None:
    phases = {phase["phase"]: phase for phase in measured("calls")["phases"]}
    assert list(phases) == ["first sync", "no change", "1 % a side", "full compare", "30 opt-outs"]
    for phase in phases.values():
        assert phase["crm"]["needed_for"]["echoes"] == 0, "what its own second cycle reads again, nobody needs"
        for side in ("crm", "esp"):
            assert phase[side]["calls"] == sum(phase[side]["kinds"].values()) >= phase[side]["least"]
            assert phase[side]["needed"] == sum(phase[side]["needed_for"].values()) >= phase[side]["least"]
    for quiet in ("no change", "full compare"):
        assert (phases[quiet]["writing_requests"], phases[quiet]["changes"]) == (0, 0)
    assert phases["no change"]["crm"]["calls"] + phases["no change"]["esp"]["calls"] <= 4
    assert phases["first sync"]["changes"] > phases["1 % a side"]["changes"] >= 6
    assert phases["30 opt-outs"]["changes"] >= 30


def test_a_cycle_without_changes_stores_nothing_about_anybody(tmp_path: Path) -> None:
    world = calls._World(Town(population=PEOPLE), tmp_path)
    world.until_quiet()
    world.settle()
    before = _rows(tmp_path / "state.db")
    assert not world.cycle().changes
    after = _rows(tmp_path / "state.db")
    world.engine.close()
    assert {table for table in after if after[table] != before[table]} == {"run", "lease", "source"}


def _rows(file: Path) -> dict[str, set[str]]:
    with closing(sqlite3.connect(file)) as state:
        names = [name for (name,) in state.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: set(map(repr, state.execute(f'SELECT * FROM "{name}"'))) for name in names}  # noqa: S608 - our own


def test_the_processor_time_of_a_phase_is_the_sum_of_its_stages(measured: Measured) -> None:
    phases = measured("engine")["phases"]
    assert [phase["phase"] for phase in phases] == _PHASES
    for phase in phases:
        assert 0 < phase["cpu_s"] == pytest.approx(sum(phase["stages_s"].values()), rel=0.2, abs=0.05)
        assert phase["answering_s"] > 0
    first, full, quiet, some, _ = phases
    assert first["read"] >= first["records"] == full["records"], (
        "what the second cycle reads again is no further record"
    )
    assert (quiet["records"], quiet["changes"], quiet["us_a_record"]) == (0, 0, None)
    assert full["records"] > some["records"] > 0 == full["changes"]
    assert first["changes"] >= first["applied"] > some["applied"] > 0


def test_a_process_never_takes_less_memory_than_before_it_began(measured: Measured) -> None:
    phases = measured("memory")["phases"]
    assert [phase["phase"] for phase in phases] == _PHASES
    assert all(10 < phase["at_rest_mib"] <= phase["peak_mib"] < 2000 for phase in phases)


def test_the_state_takes_some_bytes_for_each_contact_pair(measured: Measured) -> None:
    results = measured("disk")
    assert results["bytes"] > 100_000
    assert results["bytes_a_pair"] == round(results["bytes"] / results["pairs"])
    assert PEOPLE / 2 < results["pairs"] < PEOPLE, "some are on one side only"


def test_what_the_tables_take_is_what_the_state_takes(measured: Measured) -> None:
    results = measured("disk")
    tables = {each["table"]: each for each in results["tables"]}
    total = sum(each["bytes"] + each["index_bytes"] for each in results["tables"])
    assert 0.9 * results["bytes"] < total <= results["bytes"]
    assert tables["contact_point"]["rows"] > PEOPLE / 2
    assert all(tables[name]["index_bytes"] > 0 for name in ("statement", "system_record"))


def test_growth_has_the_same_phases_as_the_other_measurements(measured: Measured) -> None:
    (size,) = growth.measure([PEOPLE], 1)["sizes"]
    assert [phase["phase"] for phase in size["phases"]] == _PHASES
    assert size["bytes"] == measured("disk")["bytes"]
    assert size["storing"] == measured("engine")["storing"]
    assert [phase["parts_s"] for phase in size["phases"]] == [p["parts_s"] for p in measured("engine")["phases"]]
    assert [phase["cpu_s"] for phase in size["phases"]] == [p["cpu_s"] for p in measured("engine")["phases"]]


def test_postgresql_is_measured_beside_sqlite_and_leaves_no_database(measured: Measured) -> None:
    require_server()
    results = measured("postgresql")
    assert [phase["phase"] for phase in results["phases"]] == _PHASES
    assert all(phase["cpu_ratio"] > 0 and phase["wall_ratio"] > 0 for phase in results["phases"])
    assert set(results["disk"]) == {"sqlite", "postgresql"}
    assert results["settings"]["postgresql"]["fsync"] in ("on", "off")
    assert results["settings"]["sqlite"] == {"journal_mode": "wal", "synchronous": "full"}


def test_no_update_goes_before_an_opt_out_that_arrives_between_two_cycles() -> None:
    results = budget.measure(1200, 1)
    assert (results["updates"], results["opt_outs"]) == (1200, 24)
    scenes = {scene["arrive"]: scene for scene in results["scenes"]}
    assert scenes["pause"]["written"] == 24
    assert scenes["pause"]["updates_between"] == 0
    assert 0 < scenes["pause"]["first_s"] <= scenes["pause"]["half_s"] <= scenes["pause"]["last_s"]
    assert scenes["pause"]["order"][0]["kind"] == "opt-outs"
    assert (scenes["busy"]["written"], scenes["busy"]["updates_late"]) == (24, 0)
    first, *later = results["shrinking"]["records"]
    assert first > max(later) > 0 < results["shrinking"]["longest_s"] < 60
    assert first + sum(later) == results["shrinking"]["updates"]


def test_our_connectors_and_the_usual_way_are_compared_without_any_other_tool() -> None:
    results = others.measure(PEOPLE, 1, tools=(), rounds=2)
    assert [(row["tool"], row["vendor"], row["how"]) for row in results["reading"]] == [
        ("optsync", "bitrix24", "connector.read_rows"),
        ("optsync", "bitrix24", "connector.read"),
        ("optsync", "mailchimp", "connector.read_rows"),
        ("optsync", "mailchimp", "connector.read"),
    ]
    assert all(row["failed"] is None and row["records"] > 0 for row in results["reading"])
    assert [row["cpu_ratio"] == 1 for row in results["reading"]] == [True, False, True, False]
    assert all(row["cpu_least_s"] <= row["cpu_s"] <= row["cpu_most_s"] for row in results["reading"])
    assert all(row["records"] == 90 for row in results["writing"])
    assert [row["calls"] for row in results["writing"] if row["tool"] == "requests"] == [90, 90]
    assert all(row["calls"] < 10 for row in results["writing"] if row["tool"] == "optsync")


def test_each_round_begins_with_another_and_the_median_counts() -> None:
    order: list[str] = []

    def contestant(name: str, *seconds: float) -> others.Contestant:
        left = iter(seconds)

        def run(_: Stage) -> dict[str, Any]:
            order.append(name)
            return {"records": 10, "cpu_s": next(left), "wall_s": 1.0, "calls": 1}

        return {"tool": name}, run

    def absent(_: Stage) -> dict[str, Any]:
        raise ToolMissing("not there")

    made = [contestant("a", 1.0, 9.0, 2.0), contestant("b", 4.0, 4.0, 5.0), ({"tool": "c"}, absent)]
    stage = nullcontext(cast("Stage", None))
    rows = list(others._repeated(made, [stage] * 3))
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert [(row["cpu_s"], row["cpu_least_s"], row["cpu_most_s"], row["cpu_ratio"]) for row in rows[:2]] == [
        (2.0, 1.0, 9.0, 1.0),
        (4.0, 4.0, 5.0, 2.0),
    ]
    assert rows[2]["failed"] == "not there"


def test_a_tool_without_figures_is_told_with_the_reason() -> None:
    row = {"tool": "a tool 1", "vendor": "bitrix24", "how": "its way", "failed": "it cannot be installed"}
    reading, _ = others.tables({"rounds": 1, "reading": [row], "writing": []})
    assert list(reading.columns[3].cells) == ["not measured"]
    assert "a tool 1: it cannot be installed" in str(reading.caption)


def test_the_document_says_what_was_measured_where_and_is_the_same_with_the_same_seed(measured: Measured) -> None:
    command = [sys.executable, "-m", "benchmarks", "calls", "--population", str(PEOPLE), "--json", "--note", "busy"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=200)
    document = json.loads(done.stdout)
    assert (document["population"], document["seed"], document["machine"]["note"]) == (PEOPLE, 1, "busy")
    again, first = document["results"]["calls"]["phases"], measured("calls")["phases"]
    for key in ("records_read", "changes", "crm", "esp"):
        assert [phase[key] for phase in again] == [phase[key] for phase in first]


def test_every_measurement_has_a_command_and_words_for_the_page() -> None:
    assert list(ABOUT) == list(MEASUREMENTS)
