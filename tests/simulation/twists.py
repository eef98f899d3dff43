"""What is done to the systems and the configuration beside all that people do: seldom, and drawn from streams of its
own, so that every world without it stays as it is."""

import random
from collections.abc import Sequence
from dataclasses import replace

from tests.simulation.builder import THINGS
from tests.simulation.script import DAMAGED, Act, Cycle, Step
from tests.simulation.terms import CHOICES, DIRECTIONS

POLICIES = "policies"
"""The operator lets opt-outs travel one way or not, or chooses another policy."""
REBUILT = "rebuilt"
"""An administrator deletes a field or a group, or gives it another name, and makes it again."""
ODD_ANSWERS = "odd answers"
"""Some answers are JSON of a wrong shape."""
_CHANCES = {POLICIES: 0.07, REBUILT: 0.06, ODD_ANSWERS: 0.05}
_UNTOUCHED = frozenset({"drill", "silence"})
"""Themes whose worlds are about something else."""


def twists(seed: int, theme: str) -> frozenset[str]:
    """Which of them the world of that seed has."""
    if theme in _UNTOUCHED:
        return frozenset()
    return frozenset(n for n, chance in _CHANCES.items() if random.Random(f"{seed} {n}").random() < chance)


def twisted(seed: int, theme: str, steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps of a world with what is done besides."""
    found = twists(seed, theme)
    if POLICIES in found:
        steps = _with(steps, _policies(random.Random(f"{seed} {POLICIES} acts"), len(steps)))
    if REBUILT in found:
        steps = _with(steps, _rebuilt(random.Random(f"{seed} {REBUILT} acts"), len(steps)))
    if ODD_ANSWERS in found:
        steps = _damaged(steps, random.Random(f"{seed} {ODD_ANSWERS} where"))
    return tuple(steps)


def _policies(rng: random.Random, length: int) -> list[tuple[int, Act]]:
    """Acts and the number of the step before which each is done."""
    acts = []
    if is_way := rng.random() < 0.75:
        way = rng.choice(list(DIRECTIONS))
        # Mostly before anything is said: what has travelled stays where it is.
        off = rng.choice((0, 1, 1, rng.randrange(length)))
        acts.append((off, Act("operator", way)))
        if rng.random() < 0.5:
            acts.append((rng.randint(off + 1, length), Act("operator", way, other=1)))
    for _ in range(rng.choice((0, 0, 1) if is_way else (1, 2))):
        place, name = rng.randint(1, length), rng.choice(list(CHOICES))
        acts.append((place, Act("operator", name, other=rng.randrange(6))))
    return acts


def _rebuilt(rng: random.Random, length: int) -> list[tuple[int, Act]]:
    """As :func:`_policies`; what is not brought back is in the end of the world."""
    thing, taken = rng.randrange(len(THINGS)), rng.randint(1, length)
    acts = [(taken, Act("builder", "take", slot=rng.randrange(2), other=thing))]
    if taken < length and rng.random() < 0.7:
        how = rng.choice(("give", "give", "renew"))
        acts.append((rng.randint(taken + 1, length), Act("builder", how, other=thing)))
    return acts


def _damaged(steps: Sequence[Step], rng: random.Random) -> list[Step]:
    """One or two answers in each of one or two cycles."""
    found = list(steps)
    places = [place for place, step in enumerate(found) if isinstance(step, Cycle)]
    for place in rng.sample(places, min(len(places), rng.choice((1, 1, 2)))):
        cycle = found[place]
        assert isinstance(cycle, Cycle)
        faults = {rng.randint(1, 9): f"{DAMAGED} {rng.randrange(10**6)}" for _ in range(rng.choice((1, 1, 2)))}
        found[place] = replace(cycle, faults={**cycle.faults, **faults})
    return found


def _with(steps: Sequence[Step], acts: Sequence[tuple[int, Act]]) -> list[Step]:
    found = list(steps)
    for place, act in sorted(acts, key=lambda each: each[0], reverse=True):
        found.insert(place, act)
    return found
