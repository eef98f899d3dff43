"""What went wrong in a world, and the shortest script in which it still does."""

import traceback
from dataclasses import replace

from tests.simulation.play import Player
from tests.simulation.script import Cycle, Script


def wrong(script: Script) -> str | None:
    """What went wrong, with its place; None if every rule held."""
    try:
        Player(script).play()
    except Exception as error:  # noqa: BLE001 - anything that ends a world is a finding
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({place.filename.rsplit('/', 1)[-1]}:{place.lineno})"
    return None


def shrink(script: Script) -> Script:
    """Leaves out steps, then faults and kills, as long as the world still ends in the same kind of trouble."""
    kind = _kind(wrong(script))
    if kind is None:
        return script
    steps = list(script.steps)
    for place in reversed(range(len(steps))):
        shorter = [*steps[:place], *steps[place + 1 :]]
        if _kind(wrong(replace(script, steps=tuple(shorter)))) == kind:
            steps = shorter
    for place, step in enumerate(steps):
        if isinstance(step, Cycle) and (step.faults or step.kill):
            calmer = [*steps[:place], replace(step, faults={}, kill=None), *steps[place + 1 :]]
            if _kind(wrong(replace(script, steps=tuple(calmer)))) == kind:
                steps = calmer
    return replace(script, steps=tuple(steps))


def _kind(message: str | None) -> str | None:
    return None if message is None else message.split(":")[0] + message.rsplit("(", 1)[-1]


def trace(script: Script) -> list[str]:
    """Everything that happened in the world, to the bitter end."""
    player = Player(script)
    try:
        player.play()
    except Exception as error:  # noqa: BLE001 - it is part of the story
        player.trace.append(f"{type(error).__name__}: {error}")
    return player.trace
