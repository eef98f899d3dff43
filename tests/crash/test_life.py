"""What the crash tests call wrong: of a wish that a write in doubt may have hidden, only that both sides disagree."""

from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.crash.life import TOPIC, Life, Person, disagreements
from tests.crash.stage import Stage, email

_ANN = email(1)
_CAME_BACK = {"is_out": False, "topic": False}
_TICKED = {"is_out": None, "topic": True}


def _shown(**details: Any) -> dict[str, Any]:
    usual = {"email": _ANN, "opt_out": False, "status": "in", "fields": {"city": "Riga"}, "topics": {TOPIC: False}}
    return usual | details


_OUT, _IN = _shown(opt_out=True, status="out"), _shown()
_ON = _shown(topics={TOPIC: True})


@pytest.mark.parametrize(
    ("said", "unclear", "crm", "esp", "is_right"),
    [
        (_CAME_BACK, set(), _IN, _IN, True),
        (_CAME_BACK, set(), _OUT, _OUT, False),
        (_CAME_BACK, {"mail"}, _OUT, _OUT, True),
        (_CAME_BACK, {"mail"}, _OUT, _IN, False),
        (_CAME_BACK, {TOPIC}, _OUT, _OUT, False),
        ({"is_out": True}, {"mail"}, _IN, _IN, False),
        (_TICKED, set(), _ON, _ON, True),
        (_TICKED, set(), _IN, _IN, False),
        (_TICKED, {TOPIC}, _IN, _IN, True),
        (_TICKED, {TOPIC}, _ON, _IN, False),
        ({"is_out": None, "topic": False}, {TOPIC}, _ON, _ON, False),
    ],
)
def test_a_doubt_excuses_nothing_but_that_somebody_is_kept_out_on_both_sides(
    said: dict[str, Any], unclear: set[str], crm: dict[str, Any], esp: dict[str, Any], is_right: bool
) -> None:
    stage = cast("Stage", SimpleNamespace(crm=lambda _: [crm], esp=lambda _: [esp]))
    life = Life(stage, Random(0), 1)
    life.people = [Person(1, _ANN, unclear=unclear, **said)]

    assert (not disagreements(life, stage)) is is_right
