"""Drills hold every rule in fine weather, and every kind of fault strikes them."""

from itertools import islice

import pytest

from tests.simulation.chance import make, seeds
from tests.simulation.drills import DRILLS, Drill
from tests.simulation.script import CALM, CLASSES, COMMITS, FAULTS, PAGED, SKEWED, Act, Cycle, Script
from tests.simulation.shrink import play


@pytest.mark.parametrize("name", DRILLS)
def test_a_drill_holds_every_rule_in_fine_weather(name: str) -> None:
    drill: Drill = DRILLS[name]
    steps = (*drill.opening, *(step for each in drill.rounds * drill.times for step in each))
    script = Script(seed=1, people=1, policy=drill.policy, steps=steps, **{"basis": "consent", **drill.world})
    ending = play(script)

    assert ending.kind is None, ending.message
    assert {name for _, name in ending.cells} == {CALM}


def test_every_kind_of_fault_strikes_drills() -> None:
    met = {name for seed in islice(seeds("drill"), 300) for name in _strikes(make(seed))}

    assert met == set(CLASSES) - {CALM}


def _strikes(script: Script) -> set[str]:
    """The classes of what is in a script, whether or not it comes to that."""
    acts = [step for step in script.steps if isinstance(step, Act)]
    cycles = [step for step in script.steps if isinstance(step, Cycle)]
    met = {FAULTS[kind] for cycle in cycles for kind in cycle.faults.values()}
    met |= {COMMITS[kind] for cycle in cycles for kind in cycle.commits.values()}
    met |= {"killed" for cycle in cycles if cycle.kill}
    inner = [step for cycle in cycles for steps in cycle.meanwhile.values() for step in steps]
    met |= {"two daemons" if isinstance(step, Cycle) else "meanwhile" for step in inner}
    met |= {"clock stepped" for act in acts if act.who == "clock"}
    met |= {"visible late" for act in acts if act.late}
    met |= {PAGED} if script.page < 1000 else set()
    return met | ({SKEWED} if script.crm_ahead or script.esp_ahead else set())
