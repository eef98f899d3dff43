"""Scripts by chance: one random stream each for the world, the network, the schedule and the crashes, so that
shortening one does not shift the others."""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tests.simulation.drills import Chance, around, choose, drill, struck
from tests.simulation.script import COMMITS, FAULTS, KILLS, SLOTS, Act, Cycle, Script, Step
from tests.simulation.twists import twisted, twists

Weights = Sequence[tuple[str, int]]
PERSON: Weights = (
    *(("unsubscribe", 6), ("resubscribe", 6), ("confirm", 3), ("complain", 1), ("complain_cleaned", 1)),
    *(("let_lapse", 1), ("set_topic", 5), ("change_address", 2), ("set_field", 1)),
)
ADMIN: Weights = (
    *(("admin_unsubscribe", 4), ("flip_in", 4), ("archive", 1), ("unlist", 1), ("forget", 1), ("bounce", 2)),
    ("set_field", 3),
)
CRM: Weights = (
    *(("opt_out", 6), ("opt_in", 4), ("opt_in_typed", 3), ("tick", 3), ("untick", 2), ("unmark_bounce", 2)),
    *(("change_address", 2), ("swap", 1), ("add_address", 1), ("merge", 3), ("delete", 2), ("restore", 1)),
    *(("create", 1), ("create_in", 2), ("import_many", 1), ("set_topic", 4), ("set_field", 3), ("blank_field", 1)),
    *(("leave_list", 2), ("join_list", 2)),
)
OPERATOR: Weights = (
    *(("opt_out", 2), ("opt_in", 3), ("deliverable", 2), ("approve", 3), ("reject", 3), ("undo", 3), ("forget", 1)),
    *(("import_outs", 1), ("import_grants", 1), ("import_legacy", 2), ("remap", 1), ("refilter", 1)),
)
_WHO: Sequence[tuple[str, Weights, int]] = (
    ("person", PERSON, 9),
    ("admin", ADMIN, 5),
    ("crm", CRM, 11),
    ("operator", OPERATOR, 2),
)
_SOON = (1, 1, 5, 20, 40, 59, 200, 400, 3000)
"""Near things collide: most acts follow the last thing within a minute."""
_LAGS: Mapping[str, Sequence[int]] = {"person": (5, 60, 300), "admin": (5, 60, 300), "crm": (5, 60, 150)}
"""Seconds; within what the connectors' readings overlap. Only a full compare finds what comes later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """What the people of a world are mostly busy with. ``weather``, ``deadly`` and ``busy`` are chances for each
    request, for a cycle to be killed, and for something to happen meanwhile; one of each is drawn for a world."""

    share: int
    who: Sequence[tuple[str, Weights, int]] = _WHO
    people: tuple[int, int] = (2, SLOTS)
    focus: int = 2
    cycles: Sequence[int] = (1, 1, 1, 1, 2, 2, 3, 5)
    weather: Sequence[float] = (0.0, 0.0, 0.06, 0.25)
    deadly: Sequence[float] = (0.0, 0.0, 0.4)
    busy: Sequence[float] = (0.0, 0.0, 0.3)
    guard: Sequence[int] = (50, 50, 50, 1)
    set_clock: float = 0.02
    late: Sequence[float] = (0.0, 0.0, 0.2)
    """Of what people do, how much is shown only later."""


_YES_OR_NO = (
    ("person", (("unsubscribe", 5), ("resubscribe", 5), ("confirm", 2), ("complain", 1), ("set_field", 1)), 5),
    ("admin", (("admin_unsubscribe", 4), ("flip_in", 4), ("bounce", 1), ("set_field", 2)), 3),
    ("crm", (("opt_out", 6), ("opt_in", 3), ("opt_in_typed", 5), ("tick", 3), ("untick", 1), ("set_field", 1)), 5),
)
_MOVES = (
    ("person", (("unsubscribe", 5), ("change_address", 4), ("resubscribe", 1), ("let_lapse", 3)), 3),
    ("admin", (("admin_unsubscribe", 2), ("archive", 1), ("forget", 1)), 1),
    (
        "crm",
        (
            *(("opt_out", 6), ("opt_in", 2), ("change_address", 3), ("swap", 2), ("add_address", 3), ("merge", 8)),
            *(("delete", 2), ("restore", 2), ("create", 1), ("create_in", 3), ("leave_list", 1), ("join_list", 1)),
            ("tick", 4),
        ),
        6,
    ),
    ("operator", (("forget", 3), ("opt_in", 1), ("import_legacy", 3), ("import_grants", 1)), 2),
)
_TOPICS = (
    ("person", (("set_topic", 8), ("unsubscribe", 1), ("resubscribe", 1)), 4),
    ("crm", (("set_topic", 8), ("opt_out", 1), ("opt_in", 1), ("tick", 1)), 4),
    ("operator", (("opt_out", 1), ("opt_in", 1)), 1),
)
_CROWDS = (
    ("person", (("unsubscribe", 3), ("resubscribe", 1)), 2),
    ("crm", (("import_many", 6), ("opt_out", 2), ("set_field", 2), ("leave_list", 1), ("join_list", 1)), 5),
    ("operator", (("approve", 3), ("reject", 3), ("undo", 3), ("remap", 3), ("refilter", 3)), 6),
)
THEMES: Mapping[str, Theme] = {
    "drill": Theme(share=16),
    "all": Theme(share=19),
    "tug": Theme(share=25, who=_YES_OR_NO, people=(1, 2), focus=1, cycles=(1, 1, 2, 3), guard=(50,), set_clock=0.08),
    "crash": Theme(
        share=14,
        who=_YES_OR_NO,
        people=(1, 3),
        focus=1,
        cycles=(1, 2, 2, 3),
        weather=(0.1, 0.3),
        deadly=(0.0, 0.5),
        busy=(0.0, 0.7),
        late=(0.0, 0.6),
        guard=(50,),
    ),
    "moves": Theme(share=11, who=_MOVES, people=(2, 3), cycles=(1, 2, 2, 3), weather=(0.0, 0.0, 0.1), guard=(50,)),
    "topics": Theme(share=7, who=_TOPICS, people=(1, 2), focus=1, cycles=(1, 2, 3), weather=(0.0, 0.1)),
    "crowds": Theme(share=6, who=_CROWDS, people=(4, SLOTS), cycles=(1, 2, 3), weather=(0.0, 0.0, 0.1), guard=(1,)),
    "silence": Theme(share=2),
}


FAMILY = 5
"""So many seeds, one after the other, are worlds of the same people in the same circumstances that begin alike, with
the first sync or the opening of a drill, which is played once for all of them."""


def theme_of(seed: int) -> str:
    """What the world of that seed is about."""
    rng = random.Random(f"{seed // FAMILY} theme")
    return rng.choices(list(THEMES), [theme.share for theme in THEMES.values()])[0]


def seeds(theme: str, start: int = 0) -> Iterator[int]:
    """The seeds of the worlds with that theme, or that twist, from ``start`` on."""
    return (seed for seed in itertools.count(start) if theme in {(name := theme_of(seed)), *twists(seed, name)})


def make(seed: int) -> Script:
    """The script of a seed."""
    eldest = _made(seed - seed % FAMILY)
    steps = eldest.steps if seed == eldest.seed else _made(seed, people=eldest.people).steps
    return replace(eldest, steps=twisted(seed, theme_of(seed), steps))


def _made(seed: int, people: int | None = None) -> Script:
    """A script of its own, or one about so many people."""
    world, network, schedule, crash = (random.Random(f"{seed} {name}") for name in ("w", "n", "s", "c"))
    name = theme_of(seed)
    chance = Chance(network, schedule, crash)
    if name == "silence":
        return _silence(seed, chance)
    if name == "drill":
        crowd = _Crowd(world, schedule, THEMES["all"], 3)
        chosen = choose(random.Random(f"{seed // FAMILY} drill"))
        return drill(seed, chosen, chance, _policy(schedule), crowd.act)
    theme = THEMES[name]
    chances = (schedule.choice(theme.weather), schedule.choice(theme.deadly), schedule.choice(theme.busy))
    people = people or schedule.randint(*theme.people)
    crowd = _Crowd(world, schedule, theme, people)
    steps: list[Step] = [Cycle(60)]
    for _ in range(schedule.choice(theme.cycles)):
        steps += crowd.acts(schedule.choice([1, 1, 2, 2, 3, 4]))
        if schedule.random() < theme.set_clock:
            steps.append(Act("clock", schedule.choice(["crm", "esp"]), other=schedule.choice([-600, -90, 90, 600])))
        steps.append(_cycle(network, crash, schedule, chances, crowd))
    return Script(
        seed=seed,
        people=people,
        policy=_policy(schedule),
        basis=schedule.choice(["consent", "consent", "legitimate_interest"]),
        conflict=schedule.choice(["crm", "esp", "non_empty"]),
        handled=schedule.random() < 0.15,
        guard=schedule.choice(theme.guard),
        crm_ahead=schedule.choice([0, 0, 0, 25, -200, 600]),
        esp_ahead=schedule.choice([0, 0, 7, -40, 600, -600]),
        page=schedule.choice([1000, 1000, 2]),
        steps=tuple(steps),
    )


def _policy(rng: random.Random) -> dict[str, str]:
    return {
        "existing": rng.choice(["unknown", "legacy_grant"]),
        "enter": rng.choice(["subscribe", "subscribe", "request"]),
        "leave": rng.choice(["keep", "archive", "tag"]),
        "esp_only": rng.choice(["ignore", "create_in_crm"]),
        "after_opt_out": rng.choice(["stop", "stop", "continue"]),
        "carry_grant": rng.choice(["with_evidence", "never"]),
        "topics_first_sight": rng.choice(["restrictive", "union"]),
        "primary": rng.choice(["oldest", "newest"]),
    }


class _Crowd:
    """Everybody who acts in one world, most of the time about the same one or two addresses."""

    def __init__(self, world: random.Random, schedule: random.Random, theme: Theme, people: int) -> None:
        self._rng = world
        self._who = theme.who
        self._focus = [world.randrange(people) for _ in range(theme.focus)]
        self._late = schedule.choice(theme.late)

    def acts(self, count: int) -> list[Step]:
        return [self.act() for _ in range(count)]

    def no(self) -> Act:
        """Somebody says no at a bad moment."""
        who, what = self._rng.choice([("person", "unsubscribe"), ("admin", "admin_unsubscribe"), ("crm", "opt_out")])
        return Act(who, what, self._focus[0], wait=1)

    def act(self) -> Act:
        rng = self._rng
        who, kinds, _ = rng.choices(self._who, [weight for _, _, weight in self._who])[0]
        what = rng.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
        slot = rng.choice(self._focus) if rng.random() < 0.85 else rng.randrange(SLOTS)
        other = rng.choice(self._focus) if rng.random() < 0.3 else rng.randrange(SLOTS + 2)
        late = rng.choice(_LAGS.get(who, [0])) if rng.random() < self._late else 0
        return Act(who, what, slot, other, rng.choice(_SOON), late)


def _cycle(
    network: random.Random,
    crash: random.Random,
    schedule: random.Random,
    chances: tuple[float, float, float],
    crowd: _Crowd,
) -> Cycle:
    weather, deadly, busy = chances
    faults = {n: network.choice(list(FAULTS)) for n in range(1, 16) if network.random() < weather}
    kill = None
    if crash.random() < deadly:
        how = crash.choice(KILLS)
        kill = (how, crash.randrange(1, 14) if "request" in how else crash.randrange(1, 40))
    commits = {crash.randrange(2, 40): crash.choice(list(COMMITS))} if crash.random() < deadly / 2 else {}
    meanwhile: dict[int, tuple[Step, ...]] = {}
    if schedule.random() < busy:
        meanwhile[schedule.randrange(1, 14)] = (crowd.no(),) if schedule.random() < 0.5 else tuple(crowd.acts(2))
    if schedule.random() < busy / 4:
        meanwhile[schedule.randrange(1, 14)] = (Cycle(schedule.choice([10, 61, 200])),)
    wait = schedule.choice([2, 20, 61, 120, 600, 4000])
    return Cycle(wait, schedule.random() < 0.12, faults, kill, commits, meanwhile)


_LONG = range(11, 20)
"""The commits of a full compare of some people in which it decides and writes."""


def _silence(seed: int, chance: Chance) -> Script:
    """Months without a sign of life, and then some."""
    schedule = chance.schedule
    steps: list[Step] = [Cycle(60), Act("mailer", "mail", other=1), Act("mailer", "silence", other=30)]
    steps += [Act("mailer", "mail", other=2), Act("mailer", "silence", other=30)]
    steps += struck((Cycle(60, True),), chance, _LONG)
    signs: list[Step] = [Act("mailer", "open", slot=n) for n in range(schedule.randrange(4))]
    signs += [Act("person", schedule.choice(["unsubscribe", "resubscribe"]), slot=schedule.randrange(4))]
    steps += struck((*signs, Cycle(600, True)), chance, _LONG)
    steps += struck((Cycle(600),), chance, _LONG)
    return Script(
        seed=seed,
        people=4,
        policy={**_policy(schedule), "inactive": schedule.choice(["tag", "exclude"])},
        basis=schedule.choice(["consent", "legitimate_interest"]),
        steps=tuple(steps),
        **around(schedule),
    )
