import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from optsync.cli.demo import demo
from optsync.cli.demo_play import SCENES, cast, play, shortfalls
from optsync.cli.demo_stage import HurriedClock, Stage, stage
from optsync.clock import SystemClock
from optsync.config.load import load
from optsync.errors import CommandRefused
from optsync.model.record import Side


def run(*options: str) -> Result:
    app = typer.Typer()
    app.command()(demo)
    return CliRunner().invoke(app, ["--contacts", "40", *options])


@pytest.fixture
def on() -> Iterator[Stage]:
    clock = HurriedClock(SystemClock())
    made = stage(seed=1, contacts=5, clock=clock)
    made.seat(cast(clock.now()))
    with made.server:
        yield made


def test_everything_travels_and_the_third_sync_writes_nothing() -> None:
    result = run()
    assert result.exit_code == 0, result.output
    assert "0 writes, 0 changes: both sides agree." in result.output
    assert result.output.rstrip().endswith("Everything travelled, nothing else was touched.")
    assert all(scene.first_name in result.output for scene in SCENES)


def test_a_pipe_gets_no_colours() -> None:
    assert "\x1b" not in run().output


def test_a_kept_folder_holds_a_configuration_that_loads_and_the_database(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    assert run("--keep", str(folder)).exit_code == 0
    config = load(folder / "config.yaml", {})
    assert set(config.syncs) == {"newsletter"}
    assert (folder / "optsync.db").stat().st_size > 0


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("mine")
    result = run("--keep", str(tmp_path))
    assert isinstance(result.exception, CommandRefused)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_another_seed_gives_other_people_and_the_same_end() -> None:
    assert run("--seed", "2").exit_code == 0


def test_it_would_notice_what_did_not_travel(on: Stage) -> None:
    for scene in SCENES:
        play(scene, on)
    found = list(shortfalls(on, []))
    assert all(any(line.startswith(f"{scene.first_name}:") for line in found) for scene in SCENES)
    assert any("opt_out" in line and "it should be True" in line for line in found), json.dumps(found)


def test_the_cast_is_known_to_both_systems_before_anything_happens(on: Stage) -> None:
    assert all(on.shows(side, scene.email) for side in Side for scene in SCENES)
