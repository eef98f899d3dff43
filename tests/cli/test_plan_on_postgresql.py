"""A rehearsal on PostgreSQL works on a copy, as one on SQLite does: nobody waits for it and nothing is made."""

from typing import Any

import pytest
import sqlalchemy as sa

from optsync.sync import run
from tests.cli.desk import CRM, ESP, Answer, Desk
from tests.postgresql import create_database, require_server, text_of

LEFT = "ann3@example.com"


@pytest.fixture
def served(desk: Desk) -> Desk:
    """The state is an empty database on PostgreSQL."""
    require_server()
    desk.write(state={"url": text_of(create_database())})
    return desk


def meanwhile(desk: Desk, monkeypatch: pytest.MonkeyPatch, *command: str) -> list[Answer]:
    """What another command answers that somebody gives when the next run has done all but end."""
    answers: list[Answer] = []
    ends = run.end_run

    def end(*arguments: Any) -> None:
        if not answers:
            monkeypatch.setattr(run, "end_run", ends)
            answers.append(desk.optsync(*command))
        ends(*arguments)

    monkeypatch.setattr(run, "end_run", end)
    return answers


def test_what_is_synced_while_somebody_plans_waits_for_nothing(served: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert served.optsync("sync").code == 0
    served.act(ESP, "unsubscribe", email=LEFT)
    answers = meanwhile(served, monkeypatch, "sync", "--json")

    plan = served.optsync("plan", "--json").json["syncs"]["newsletter"]["changes"]

    (synced,) = answers
    assert synced.code == 0
    assert [c["state"] for c in plan] == ["planned"] * len(plan)
    done = synced.json["syncs"]["newsletter"]["changes"]
    assert {(c["email"], c["kind"], c["state"]) for c in done} >= {(LEFT, "opt_out", "applied")}
    assert served.optsync("sync", "--json").json["syncs"]["newsletter"]["changes"] == []


def test_who_calls_while_somebody_plans_is_heard_at_once(served: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    served.optsync("sync")
    served.act(CRM, "set_field", email=LEFT, field="last_name", value="Meier")
    answers = meanwhile(served, monkeypatch, "opt-out", LEFT, "--actor", "Eve")

    assert served.optsync("plan").code == 0

    assert [answer.code for answer in answers] == [0]
    assert served.optsync("may-send", LEFT, "--scope", "acme/marketing").out.startswith("no ")


def test_a_plan_before_the_first_sync_makes_no_table(served: Desk) -> None:
    assert served.optsync("plan").code == 0

    engine = sa.create_engine(served.document["state"]["url"])
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()
    assert served.writes() == 0


def test_a_plan_without_its_database_says_which_does_not_answer(desk: Desk) -> None:
    desk.write(state={"url": "postgresql://eve@127.0.0.1:1/db"})

    answer = desk.optsync("plan")

    assert answer.code == 2
    assert "127.0.0.1:1/db" in answer.err
    assert "Traceback" not in answer.err
