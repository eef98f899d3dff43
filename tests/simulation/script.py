"""A world as a script: a list of steps made from a seed, so that it can be replayed, shortened and kept."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PEOPLE = 6
"""Few, so that things collide."""
FAULTS = (
    "drop",
    "timeout",
    "too_many",
    "too_many_bare",
    "error_500",
    "error_502",
    "error_503",
    "error_503_html",
    "forbidden",
    "drop_after",
    "timeout_after",
    "error_502_after",
    "truncated_after",
)
KILLS = ("before request", "after request", "before commit", "after commit")


@dataclass(frozen=True, slots=True)
class Act:
    """Somebody does something to one address, ``wait`` seconds after what came before."""

    who: str
    what: str
    slot: int
    other: int
    wait: int

    def __str__(self) -> str:
        return f"+{self.wait:>5} s  {self.who}: {self.what} {address(self.slot)} ({address(self.other)})"


@dataclass(frozen=True, slots=True)
class Cycle:
    """A sync. ``faults``: number of the request (from 1) -> kind. ``kill``: how and at which request or commit."""

    wait: int
    is_full: bool = False
    faults: Mapping[int, str] = field(default_factory=dict)
    kill: tuple[str, int] | None = None

    def __str__(self) -> str:
        full = " --full" if self.is_full else ""
        faults = f" {dict(self.faults)}" if self.faults else ""
        kill = f" killed {self.kill[0]} {self.kill[1]}" if self.kill else ""
        return f"+{self.wait:>5} s  sync{full}{faults}{kill}"


Step = Act | Cycle

_ESP = (
    ("unsubscribe", 5),
    ("admin_unsubscribe", 3),
    ("resubscribe", 4),
    ("flip_in", 4),
    ("confirm", 2),
    ("complain", 1),
    ("bounce", 1),
    ("archive", 1),
    ("change_address", 2),
    ("set_topic", 3),
    ("set_field", 2),
)
_CRM = (
    ("opt_out", 5),
    ("opt_in", 3),
    ("clear", 3),
    ("change_address", 2),
    ("swap", 1),
    ("add_address", 1),
    ("merge", 1),
    ("delete", 1),
    ("create", 2),
    ("set_topic", 3),
    ("set_field", 2),
    ("leave_list", 1),
    ("join_list", 1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """``policy`` and ``basis`` go into the configuration; ``people`` says how the world begins."""

    seed: int
    policy: Mapping[str, Any]
    basis: str
    esp_ahead: int
    people: int
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        head = f"seed {self.seed}: {dict(self.policy)} basis {self.basis}, ESP clock {self.esp_ahead:+} s"
        return "\n".join([head, *(f"{n:>3}  {step}" for n, step in enumerate(self.steps))])


def address(slot: int) -> str:
    return f"p{slot}@example.com"


def make(seed: int) -> Script:
    """The script of a seed. Each part draws from a stream of its own, so that one does not shift the others."""
    world, network, schedule, crash = (random.Random(f"{seed} {name}") for name in ("w", "n", "s", "c"))
    policy = {
        "existing": schedule.choice(["unknown", "legacy_grant"]),
        "enter": schedule.choice(["subscribe", "subscribe", "request"]),
        "leave": schedule.choice(["keep", "archive", "tag"]),
        "carry_grant": schedule.choice(["with_evidence", "never"]),
        "topics_first_sight": schedule.choice(["restrictive", "union"]),
        "primary": schedule.choice(["oldest", "newest"]),
    }
    weather = schedule.choice([0.0, 0.0, 0.05, 0.2])
    deadly = schedule.choice([0.0, 0.0, 0.3])
    steps: list[Step] = [Cycle(60)]
    for _ in range(schedule.randrange(3, 9)):
        steps += [_act(world) for _ in range(world.choice([0, 1, 1, 2, 3, 5]))]
        steps.append(_cycle(network, crash, schedule, weather, deadly))
    return Script(
        seed=seed,
        policy=policy,
        basis=schedule.choice(["consent", "consent", "legitimate_interest"]),
        esp_ahead=schedule.choice([0, 0, 7, -40, 600, -600]),
        people=seed,
        steps=tuple(steps),
    )


def _act(rng: random.Random) -> Act:
    who = rng.choice(["crm", "esp"])
    kinds = _CRM if who == "crm" else _ESP
    what = rng.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
    # Near things collide: most acts follow the last one within seconds or minutes.
    return Act(who, what, rng.randrange(PEOPLE), rng.randrange(PEOPLE + 2), rng.choice([1, 5, 40, 200, 400, 3000]))


def _cycle(
    network: random.Random, crash: random.Random, schedule: random.Random, weather: float, deadly: float
) -> Cycle:
    faults = {n: network.choice(FAULTS) for n in range(1, 40) if network.random() < weather}
    kill = (crash.choice(KILLS), crash.randrange(1, 30)) if crash.random() < deadly else None
    return Cycle(schedule.choice([61, 120, 600, 4000]), schedule.random() < 0.2, faults, kill)
