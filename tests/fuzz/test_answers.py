"""No answer of the wrong shape loses an opt-out, raises a status or ends a run with a fault of our own."""

import re
from pathlib import Path

import pytest

from tests.fuzz.answers import Fuzzed
from tests.fuzz.busy import Busy
from tests.scenarios.world import CRM, ESP

_WORLDS = 120
_BUSY = 40
_NAMES = re.compile(r"/[0-9a-z]{10,32}(?=/|$)")
_KEPT = (40, 113, 151, 161, 10_436, 10_508, 500_114, 502_068)
"""Worlds that once went wrong."""


@pytest.mark.parametrize("seed", sorted({*range(_WORLDS), *_KEPT}))
def test_a_world_survives_answers_of_the_wrong_shape(tmp_path: Path, seed: int) -> None:
    fuzzed = Fuzzed(tmp_path, seed).play()
    assert not fuzzed.wrong, "\n".join([*fuzzed.wrong, "after:", *fuzzed.done])


@pytest.mark.parametrize("seed", range(_BUSY))
def test_a_world_in_which_much_is_asked_for_survives_them(tmp_path: Path, seed: int) -> None:
    fuzzed = Busy(tmp_path, seed).play()
    assert not fuzzed.wrong, "\n".join([*fuzzed.wrong, "after:", *fuzzed.done])


def test_the_answers_were_really_spoiled(tmp_path: Path) -> None:
    fuzzed = Fuzzed(tmp_path, 1).play()
    assert len(fuzzed.done) >= 3


def test_answers_of_every_kind_that_these_worlds_ask_for_were_spoiled(tmp_path: Path) -> None:
    found: set[str] = set()
    for seed in range(8):
        (folder := tmp_path / str(seed)).mkdir()
        found.update(map(_kind, Busy(folder, seed).play().done))

    assert found >= {
        "POST batch.json",
        "POST crm.contact.delete.json",
        "GET ",
        "GET lists",
        "GET lists/*",
        "POST lists/*",
        "GET lists/*/abuse-reports",
        "GET lists/*/interest-categories",
        "GET lists/*/interest-categories/*/interests",
        "GET lists/*/members",
        "GET lists/*/members/*",
        "PATCH lists/*/members/*",
        "GET lists/*/members/*/activity-feed",
        "GET lists/*/merge-fields",
        "GET reports",
    }


def _kind(done: str) -> str:
    """The method and the path of a request, without what names an audience, a group or a person."""
    method, url = done.partition(": ")[0].split(" ")
    path = url.removeprefix(f"{ESP}/3.0/").removeprefix(f"{CRM}/rest/")
    return f"{method} {_NAMES.sub('/*', path).removeprefix('7/*/')}"
