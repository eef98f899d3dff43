"""Killing can find something: an engine that calls before its intent is committed is caught within a few kills, and
the same kills find nothing without that error."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from optsync.sync.apply import Applier
from tests.crash.kills import Kills
from tests.crash.life import TOPIC, Life, Person
from tests.crash.shared import Phase
from tests.crash.stage import people, staged, state_url

KILLS = 4
PEOPLE = 4


class Wavering(Life):
    """People who think of nothing but a topic: they tick it at the platform, and untick it in the CRM once it is ticked
    there. So most writes permit something, and much of that is taken back before the next run."""

    def go_on(self) -> None:
        self._stage.wait(10)
        for person in self.people:
            if self._rng.random() < 0.5:
                self._change_mind(person)

    def _change_mind(self, person: Person) -> None:
        at_crm, at_esp = (side("view", email=person.address) for side in (self._stage.crm, self._stage.esp))
        if not person.topic and (at_esp["topics"][TOPIC] or person.address in self.in_doubt):
            return  # a tick would not be seen, or might be the engine's own
        side = self._stage.crm if person.topic and at_crm["topics"][TOPIC] else self._stage.esp
        person.topic = not person.topic
        side("set_topic", email=person.address, topic=TOPIC, wanted=person.topic)


def _killed_after_writes(folder: Path) -> Sequence[str]:
    """What is wrong then."""
    with staged(folder, state_url("sqlite", folder), people(PEOPLE)) as stage:
        life = Wavering(stage, Random("life/1"), PEOPLE)
        return Kills(stage, life, seed=1, only_at=(Phase.AFTER_A_WRITE,)).play(KILLS)


@pytest.mark.slow
def test_a_call_before_its_intent_is_committed_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def commit_nothing(self: Applier, unit: Any, batch: Sequence[Any]) -> list[Any]:
        return list(batch)

    with monkeypatch.context() as engine:
        engine.setattr(Applier, "_commit_intent", commit_nothing)
        found = _killed_after_writes(tmp_path)

    assert any(f"wants no {TOPIC}" in line for line in found), found


@pytest.mark.slow
def test_the_same_kills_find_nothing_without_that_error(tmp_path: Path) -> None:
    assert _killed_after_writes(tmp_path) == []
