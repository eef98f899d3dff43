"""Drills: short scripts that bring a rare rule about, under each kind of fault. Chance alone meets some rules too
seldom to see each of them decided in every weather."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.simulation.script import (
    CALM,
    CLASSES,
    COMMITS,
    FAULTS,
    IN_DOUBT,
    KILLED,
    KILLS,
    LATE,
    MEANWHILE,
    OVERTAKEN,
    PAGED,
    PARTIAL,
    SKEWED,
    STALE,
    STEPPED,
    Act,
    Cycle,
    Script,
    Step,
)

Round = tuple[Step, ...]
"""Acts, with cycles in fine weather if need be, and last the cycle that is struck while it decides about them."""
_WEIGHTS = {CALM: 0, SKEWED: 0, PAGED: 0, **dict.fromkeys((KILLED, IN_DOUBT, STEPPED, STALE, PARTIAL), 6)}
"""Of the others 4. Skew and pages are the world's; a calm cycle has nothing else."""
_REQUESTS = range(1, 5)
"""A cycle about one person reads with three requests and writes with one or two."""
_COMMITS = range(9, 17)
"""It decides in the eighth or ninth commit and is done after some fifteen; then come what an organisation adds."""
_HANDLED = range(12, 28)
_PLACES = {STALE: (1,), PARTIAL: (1, 1, 4)}
"""The first request is the CRM's batch that lists what changed; the others of a reading are plain ones."""
_KINDS: Mapping[str, Sequence[str]] = {
    name: [kind for kind, of in FAULTS.items() if of == name] for name in dict.fromkeys(FAULTS.values())
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """``opening`` is played in fine weather. ``commits``: those of a struck cycle that may fail. ``policy`` and
    ``world`` are what the rules need of the configuration and of the script."""

    share: int = 2
    opening: Round = (Cycle(60),)
    rounds: tuple[Round, ...]
    times: int = 1
    commits: range = _COMMITS
    policy: Mapping[str, Any] = field(default_factory=dict)
    world: Mapping[str, Any] = field(default_factory=dict)


ONE, TWO, THREE = 2, 3, 4
"""The slots that drills are about: nobody lives there at first."""
_VENDORS = frozenset({"person", "admin", "crm"})
_UNSEEN = (
    *(Act("crm", what, ONE) for what in ("set_field", "set_topic")),
    *(Act("crm", "set_field", 0), Act("crm", "create", 5), Act("crm", "create", 5)),
)
_SOON = Cycle(120)
_ENROL: Round = (Act("crm", "create_in", ONE, wait=5), Cycle(60))
_BOUNCE: Round = (Act("admin", "bounce", ONE, wait=5), _SOON)


def _then(who: str, what: str, slot: int = ONE, other: int = 0, wait: int = 5) -> Round:
    return Act(who, what, slot, other, wait), _SOON


def _both(slot: int) -> Round:
    """Somebody comes to both systems before they are joined."""
    return Act("person", "resubscribe", slot, wait=5), Act("crm", "create_in", slot, 1, 5)


DRILLS: Mapping[str, Drill] = {
    "a bounce unmarked": Drill(share=6, opening=_ENROL, rounds=(_BOUNCE, _then("crm", "unmark_bounce"))),
    "a bounce marked by hand": Drill(
        share=5, times=2, opening=_ENROL, rounds=(_then("crm", "mark_bounce"), _then("crm", "unmark_bounce"))
    ),
    "a mailbox is full": Drill(
        share=6,
        opening=_ENROL,
        rounds=tuple(
            (Act("mailer", "mail", other=n, wait=5), Act("mailer", "soft_bounce", ONE, wait=5), Cycle(600, True))
            for n in (1, 2)
        ),
    ),
    "a mailbox vouched for": Drill(share=6, opening=_ENROL, rounds=(_BOUNCE, _then("operator", "deliverable"))),
    "a bounced person signs up": Drill(
        share=5, times=2, opening=_ENROL, rounds=(_BOUNCE, _then("person", "resubscribe"))
    ),
    "both edit": Drill(
        share=8,
        times=2,
        opening=_ENROL,
        rounds=(
            (Act("crm", "set_field", ONE, 1, 5), Act("person", "set_field", ONE, 2, 5), _SOON),
            (Act("crm", "set_field", ONE, 3, 5), Act("person", "set_field", ONE, 0, 5), _SOON),
        ),
    ),
    "one side is empty": Drill(
        rounds=((*_both(ONE), _SOON), (*_both(TWO), _SOON)),
    ),
    "left and returned, archived": Drill(
        times=2,
        opening=_ENROL,
        rounds=(_then("crm", "leave_list"), _then("crm", "join_list")),
        policy={"leave": "archive"},
    ),
    "left and returned, tagged": Drill(
        times=2,
        opening=_ENROL,
        rounds=(_then("crm", "leave_list"), _then("crm", "join_list")),
        policy={"leave": "tag"},
    ),
    "outs rejected": Drill(
        share=8,
        opening=(
            *(Act("crm", "create_in", slot, wait=5) for slot in (ONE, TWO)),
            Cycle(60),
            *(Act("crm", "opt_out", slot, wait=5) for slot in (ONE, TWO)),
            _SOON,
        ),
        rounds=((Cycle(120, word="reject"),),),
        world={"guard": 1},
    ),
    "edits undone": Drill(
        share=6,
        opening=_ENROL,
        rounds=tuple((*_then(who, "set_field", other=2), Cycle(120, word="undo")) for who in ("person", "crm")),
    ),
    "an archiving undone": Drill(
        opening=_ENROL,
        rounds=((*_then("crm", "leave_list"), Cycle(120, word="undo")),),
        policy={"leave": "archive"},
    ),
    "the record moves": Drill(opening=_ENROL, rounds=(_then("crm", "change_address", other=TWO),)),
    "the member moves": Drill(
        share=5,
        opening=_ENROL,
        rounds=(_then("person", "change_address", other=TWO), _then("person", "change_address", TWO, ONE)),
    ),
    "an address is left": Drill(
        share=5,
        opening=(Act("person", "resubscribe", TWO, wait=5), *_ENROL),
        rounds=(_then("crm", "change_address", other=TWO),),
        policy={"esp_only": "ignore"},
    ),
    "imported": Drill(
        share=6,
        opening=_ENROL,
        rounds=tuple(_then("operator", what, wait=400) for what in ("import_outs", "import_grants", "import_legacy")),
    ),
    "one is asked": Drill(rounds=(_then("crm", "create"), _then("crm", "create", TWO)), policy={"enter": "request"}),
    "asked, and no answer": Drill(
        commits=range(11, 16),
        share=8,
        opening=(
            Act("crm", "create", ONE, wait=5),
            Cycle(60),
            Act("person", "let_lapse", ONE, wait=5),
            Cycle(700, True),
        ),
        rounds=((Cycle(4000, True),),),
        policy={"enter": "request"},
    ),
    "asked to come back": Drill(
        share=7,
        opening=_ENROL,
        rounds=(_then("person", "unsubscribe"), _then("crm", "opt_in", wait=400)),
        commits=_HANDLED,
        world={"handled": True},
    ),
    "out, ticked and back": Drill(
        share=3,
        times=2,
        opening=_ENROL,
        rounds=(_then("crm", "opt_out"), _then("crm", "tick"), _then("crm", "opt_in", wait=400)),
        commits=_HANDLED,
        world={"handled": True},
    ),
    "known to the platform only": Drill(
        rounds=(_then("person", "resubscribe"), _then("person", "resubscribe", TWO)),
        policy={"esp_only": "create_in_crm"},
    ),
    "topics disagree": Drill(
        share=4,
        opening=(
            Act("person", "resubscribe", THREE, wait=5),
            Act("crm", "create_in", THREE, wait=5),
            *(Act(who, "set_topic", THREE, 0, 5) for who in ("person", "crm")),
            Cycle(60),
        ),
        rounds=(
            (*_both(ONE), Act("crm", "set_topic", ONE, 0, 5), _SOON),
            (
                *_both(TWO),
                Act("person", "set_topic", TWO, 0, 5),
                *(Act("crm", "set_topic", TWO, wish, 5) for wish in (0, 2)),
                _SOON,
            ),
        ),
        policy={"topics_first_sight": "restrictive"},
    ),
    "a topic on and off": Drill(
        share=4,
        times=2,
        opening=_ENROL,
        rounds=(_then("crm", "set_topic", other=0), _then("person", "set_topic", other=2)),
    ),
    "an administrator's word": Drill(
        share=4,
        times=2,
        opening=_ENROL,
        rounds=(_then("operator", "opt_out"), _then("operator", "opt_in", wait=400)),
        commits=_HANDLED,
        world={"handled": True},
    ),
    "a complaint": Drill(share=5, opening=_ENROL, rounds=(_then("person", "complain"),)),
    "one enters": Drill(share=2, rounds=(_then("crm", "create_in"), _then("crm", "create_in", TWO))),
}


@dataclass(frozen=True, slots=True)
class Chance:
    """The random streams of a world."""

    network: random.Random
    schedule: random.Random
    crash: random.Random


def choose(rng: random.Random) -> Drill:
    return rng.choices(list(DRILLS.values()), [each.share for each in DRILLS.values()])[0]


def drill(seed: int, chosen: Drill, chance: Chance, policy: Mapping[str, str], more: Callable[[], Step]) -> Script:
    """The drill in whatever weather. ``more``: what somebody does besides, now and then."""
    rng = chance.schedule
    steps = list(chosen.opening)
    for each in chosen.rounds * chosen.times:
        steps += [more()] if rng.random() < 0.15 else []
        steps += struck(each, chance, chosen.commits)
    usual = {
        "basis": rng.choice(["consent", "legitimate_interest"]),
        "conflict": rng.choice(["crm", "esp", "non_empty"]),
        **around(rng),
    }
    policy = {**policy, **chosen.policy}
    return Script(seed=seed, people=1, policy=policy, steps=tuple(steps), **{**usual, **chosen.world})


def around(rng: random.Random) -> dict[str, Any]:
    """Clocks and pages, mostly right and large: in most of these worlds nothing strikes but what strikes a cycle."""
    return {
        "crm_ahead": rng.choice([0, 0, 0, 0, 0, 0, 25, -200]),
        "esp_ahead": rng.choice([0, 0, 0, 0, 0, 0, 7, -600]),
        "page": rng.choice([1000, 1000, 1000, 2]),
    }


def _classes(rng: random.Random) -> list[str]:
    """What strikes a cycle: nothing, or mostly two things."""
    if rng.random() < 0.14:
        return []
    return rng.choices(CLASSES, [_WEIGHTS.get(name, 4) for name in CLASSES], k=rng.choice([1, 2, 2]))


def struck(each: Round, chance: Chance, places: range = _COMMITS) -> list[Step]:
    """The acts, and the cycle with what strikes it."""
    classes = _classes(chance.schedule)
    network, rng, crash = chance.network, chance.schedule, chance.crash
    acts, cycle = list(each[:-1]), each[-1]
    assert isinstance(cycle, Cycle)
    meanwhile: dict[int, tuple[Step, ...]] = {}
    if STEPPED in classes:
        acts.append(Act("clock", rng.choice(["crm", "esp"]), other=rng.choice([-600, -90, 90, 600])))
    if LATE in classes:
        acts = _later(acts, rng)
    if STALE in classes:
        # What a replica does not show yet is another edit: those of the drill are older.
        acts.append(replace(rng.choice(_UNSEEN), other=rng.randrange(4), wait=cycle.wait))
        cycle = replace(cycle, wait=5)
    if MEANWHILE in classes:
        meanwhile[rng.choice(_REQUESTS)] = (_aside(rng),)
    if OVERTAKEN in classes:
        meanwhile[rng.choice(_REQUESTS)] = (Cycle(rng.choice([10, 61, 200])),)
    faults = {
        network.choice(_PLACES.get(name, _REQUESTS)): network.choice(_KINDS[name]) for name in classes if name in _KINDS
    }
    commits = {crash.choice(places): kind for kind, name in COMMITS.items() if name in classes}
    kill = _kill(crash, places) if KILLED in classes else None
    return [*acts, replace(cycle, faults=faults, kill=kill, commits=commits, meanwhile=meanwhile)]


def _later(acts: Sequence[Step], rng: random.Random) -> list[Step]:
    """One of them is shown later; if nobody does anything in a vendor's system, somebody does now."""
    since = max((n for n, step in enumerate(acts) if isinstance(step, Cycle)), default=-1)
    where = [n for n, act in enumerate(acts) if n > since and isinstance(act, Act) and act.who in _VENDORS]
    if not where:
        return [*acts, Act("crm", "set_field", rng.choice([0, ONE]), rng.randrange(4), late=5)]
    chosen = rng.choice(where)
    return [replace(act, late=rng.choice([5, 60])) if n == chosen else act for n, act in enumerate(acts)]  # type: ignore[arg-type]


def _aside(rng: random.Random) -> Act:
    """What somebody does while a request is on its way: an edit mostly, sometimes a no."""
    who, what = rng.choice(
        [("crm", "set_field"), ("person", "set_field"), ("crm", "opt_out"), ("person", "unsubscribe")]
    )
    return Act(who, what, rng.choice([0, ONE]), rng.randrange(4))


def _kill(crash: random.Random, places: range) -> tuple[str, int]:
    how = crash.choice(KILLS)
    return how, crash.choice((4, 4, 5) if "request" in how else places)
