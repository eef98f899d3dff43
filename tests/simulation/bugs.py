"""Planted bugs: mutations of the engine that the simulation must find. Each says within how many worlds of a theme.

``python -m tests.simulation.bugs NAME --from SEED --worlds N`` measures how many worlds it takes to find one."""

import argparse
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import structlog

from tests.simulation import mutations
from tests.simulation.chance import make, seeds
from tests.simulation.law import Law
from tests.simulation.mutations import Put
from tests.simulation.script import Script, load
from tests.simulation.shrink import Ending, play
from tests.simulation.twists import POLICIES, REBUILT


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """``within``: worlds of the theme or twist, from the seed ``start`` on, one of which must break a law. ``kept``:
    where chance takes too long, the script of a world that does, in ``kept/``."""

    name: str
    says: str
    plant: Callable[[Put], None]
    theme: str
    within: int
    start: int = 0
    kept: str = ""


BUGS = (
    Bug(
        name="future",
        says="a grant counts at a time in the future",
        plant=mutations.future,
        theme="tug",
        start=0,
        within=20,
    ),
    Bug(
        name="resend",
        says="what was sent before a crash is sent again",
        plant=mutations.resend,
        theme="crash",
        start=235,
        within=10,
    ),
    Bug(
        name="no_reread",
        says="an opt-in is written without another look",
        plant=mutations.no_reread,
        theme="crash",
        start=235,
        within=10,
    ),
    Bug(
        name="status_in_fields",
        says="a field update carries a status",
        plant=mutations.status_in_fields,
        theme="all",
        start=0,
        within=12,
    ),
    Bug(
        name="topic_leaks",
        says="a topic's no closes its purpose",
        plant=mutations.topic_leaks,
        theme="topics",
        start=0,
        within=6,
    ),
    Bug(
        name="no_tombstone",
        says="an erasure keeps no hash",
        plant=mutations.no_tombstone,
        theme="moves",
        start=0,
        within=10,
    ),
    Bug(
        name="any_grant",
        says="a grant of any strength lifts",
        plant=mutations.any_grant,
        theme="all",
        start=0,
        within=4,
    ),
    Bug(
        name="plain_complaint",
        says="a complaint is an out like any other",
        plant=mutations.plain_complaint,
        theme="tug",
        start=270,
        within=15,
    ),
    Bug(
        name="no_overlap", says="readings do not overlap", plant=mutations.no_overlap, theme="crash", start=0, within=18
    ),
    Bug(
        name="no_margin",
        says="times of two clocks are compared to the second",
        plant=mutations.no_margin,
        theme="tug",
        start=265,
        within=15,
    ),
    Bug(
        name="last_wins",
        says="whoever spoke last wins, however strong",
        plant=mutations.last_wins,
        theme="tug",
        start=0,
        within=18,
    ),
    Bug(
        name="same_state",
        says="out as before, with a new proof or author, is no news",
        plant=mutations.same_state,
        theme="tug",
        start=45,
        within=15,
    ),
    Bug(
        name="echo",
        says="our own write is taken for somebody's word",
        plant=mutations.echo,
        theme="tug",
        start=0,
        within=12,
    ),
    Bug(
        name="move_loses",
        says="a new address inherits no restriction",
        plant=mutations.move_loses,
        theme="moves",
        start=670,
        within=15,
    ),
    Bug(
        name="no_meaning",
        says="another mapping or list scope holds nothing",
        plant=mutations.no_meaning,
        theme="crowds",
        start=0,
        within=8,
    ),
    Bug(
        name="no_volume", says="no volume is suspicious", plant=mutations.no_volume, theme="crowds", start=0, within=10
    ),
    Bug(
        name="blocks_service",
        says="an out blocks service mail",
        plant=mutations.blocks_service,
        theme="all",
        start=0,
        within=3,
    ),
    Bug(
        name="policy_for_nobody",
        says="another policy is applied to nobody who is not read anew",
        plant=mutations.policy_for_nobody,
        theme=POLICIES,
        start=0,
        within=20,
    ),
    Bug(
        name="vanished_field",
        says="a field that is gone reads as empty",
        plant=mutations.vanished_field,
        theme=REBUILT,
        start=0,
        within=15,
    ),
    Bug(
        name="vanished_group",
        says="a group that is gone reads as one that nobody wants",
        plant=mutations.vanished_group,
        theme=REBUILT,
        start=665,
        within=5,
    ),
    Bug(
        name="cursor_first",
        says="the cursor is saved before the rows",
        plant=mutations.cursor_first,
        theme="crash",
        within=1,
        kept="bug_cursor_first.json",
    ),
    Bug(
        name="merge_loses",
        says="a merge loses the loser's no",
        plant=mutations.merge_loses,
        theme="moves",
        within=1,
        kept="bug_merge_loses.json",
    ),
    Bug(
        name="never_asks",
        says="nobody is asked about who is archived",
        plant=mutations.never_asks,
        theme="all",
        within=1,
        kept="opt_out_hidden_by_our_archiving.json",
    ),
    Bug(
        name="own_echo",
        says="the stamp of our own write counts as a consent",
        plant=mutations.own_echo,
        theme="all",
        within=1,
        kept="bug_own_echo.json",
    ),
    Bug(
        name="unheard_sign_up",
        says="nobody's activity shows a sign-up",
        plant=mutations.unheard_sign_up,
        theme="tug",
        start=245,
        within=15,
    ),
    Bug(
        name="no_agreement",
        says="nobody remembers what both sides agreed on",
        plant=mutations.no_agreement,
        theme="all",
        within=40,
    ),
)


_LAWS = frozenset(law.value for law in Law)


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """The engine has the bug inside the block."""
    usual: list[tuple[Any, str, Any]] = []

    def put(owner: Any, name: str, value: Any) -> None:
        usual.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    bug.plant(put)
    try:
        yield
    finally:
        for owner, name, value in reversed(usual):
            setattr(owner, name, value)


def find(bug: Bug, *, start: int, worlds: int) -> tuple[int, int, Ending] | None:
    """How many worlds were played, the seed that shows it, and what went wrong. Only a world that passes without the
    bug shows it, and one that breaks a law with it: an error tells that the bug was planted badly."""
    for count, (seed, script) in enumerate(islice(_scripts(bug, start), worlds), 1):
        with planted(bug):
            ending = play(script)
        if ending.kind in _LAWS and play(script).kind is None:
            return count, seed, ending
    return None


def _scripts(bug: Bug, start: int) -> Iterator[tuple[int, Script]]:
    if bug.kept:
        script = load((Path(__file__).parent / "kept" / bug.kept).read_text(encoding="utf-8"))
        yield script.seed, script
        return
    for seed in seeds(bug.theme, start):
        yield seed, make(seed)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.bugs", description=__doc__)
    parser.add_argument("names", nargs="*", help="all, if none is named")
    parser.add_argument("--from", dest="start", type=int, help="seed; each bug's own, if none is given")
    parser.add_argument("--worlds", type=int, default=200)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    for bug in BUGS:
        if options.names and bug.name not in options.names:
            continue
        start = bug.start if options.start is None else options.start
        found = find(bug, start=start, worlds=options.worlds)
        told = (
            f"not in {options.worlds}" if found is None else f"{found[0]} worlds, seed {found[1]}: {found[2].message}"
        )
        sys.stdout.write(f"{bug.name} ({bug.theme}): {told[:250]}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
