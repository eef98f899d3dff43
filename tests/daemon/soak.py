"""Two minutes of ordinary life in bad weather, with the daemon ended and killed in between.

``python -m tests.daemon.soak --seconds 120`` prints what arrived and exits with 1 if anything was lost or does not
come to rest.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from optsync_mock.faults import FaultKind, weather
from optsync_mock.server import RunningServer
from tests.daemon.world import Pair, Process, configuration, vendors

PEOPLE = 400
_CITIES = ("Riga", "Oslo", "Turin", "Łódź", "Graz")
_KINDS = tuple(kind for kind in FaultKind if kind is not FaultKind.FORBIDDEN)
"""A refused account ends a run at once and by design."""


@dataclass(slots=True)
class Life:
    """What people did, and so what both sides have to show in the end."""

    pair: Pair
    rng: Random
    people: list[int] = field(default_factory=lambda: list(range(1, PEOPLE + 1)))
    out: dict[int, float] = field(default_factory=dict)
    """Whoever said no, and when."""
    cities: dict[int, str] = field(default_factory=dict)
    did: Counter[str] = field(default_factory=Counter)
    faults: int = 0

    def act(self) -> None:
        person = self.rng.choice(self.people)
        what = self.rng.choice(("crm opt-out", "unsubscribe", "move", "move"))
        if what == "move":
            self.cities[person] = self.rng.choice(_CITIES)
            self.pair.moves(person, self.cities[person])
        elif person in self.out:
            return
        else:
            (self.pair.crm_says_no if what == "crm opt-out" else self.pair.person_unsubscribes)(person)
            self.out[person] = time.monotonic()
        self.did[what] += 1

    def missing(self) -> Iterator[str]:
        """Everything that one of the sides does not show (yet)."""
        for person in self.people:
            is_out = person in self.out
            if self.pair.is_out_at_esp(person) is not is_out or self.pair.is_out_at_crm(person) is not is_out:
                yield f"person {person} {'said no' if is_out else 'said nothing'} and is shown otherwise"
        for person, city in self.cities.items():
            # After an opt-out fields may stand still.
            if person not in self.out and self.pair.city_at_esp(person) != city:
                yield f"person {person} moved to {city}"


def live(life: Life, process: Process, *, until: float) -> None:
    while time.monotonic() < until:
        life.act()
        assert process.popen.poll() is None, process.log[-2000:]
        time.sleep(life.rng.uniform(0.1, 0.6))  # noqa: TID251 - real processes live in real time


def come_to_rest(life: Life, server: RunningServer, process: Process, *, seconds: float) -> list[str]:
    """What is still missing after the weather has cleared; ends as soon as nothing is."""
    life.faults += server.faults.hits
    server.faults.replace(())
    end = time.monotonic() + seconds
    while (missing := list(life.missing())) and time.monotonic() < end:
        time.sleep(0.5)  # noqa: TID251
    if not missing:
        runs = process.metric("optsync_runs_total", state="done")
        while process.metric("optsync_runs_total", state="done") < runs + 2 and time.monotonic() < end + 30:
            time.sleep(0.2)  # noqa: TID251
        for vendor in (life.pair.crm, life.pair.esp):
            server.clear_log(vendor)
        time.sleep(5)  # noqa: TID251
        writes = {vendor: server.log(vendor)["writes"] for vendor in (life.pair.crm, life.pair.esp)}
        missing = [
            f"{count} writes to {vendor} although nobody did anything" for vendor, count in writes.items() if count
        ]
    return missing


def soak(seconds: float, rate: float, seed: int, folder: Path) -> list[str]:
    """Returns what was lost."""
    with ExitStack() as stack:
        server = stack.enter_context(vendors(PEOPLE))
        life = Life(Pair(server), Random(seed))
        path = configuration(folder, systems=life.pair.systems(), syncs={"newsletter": life.pair.sync()})
        start = time.monotonic()
        for number, share in enumerate((0.3, 0.5, 0.75, 1.0)):
            with Process(path) as process:
                life.faults += server.faults.hits
                server.faults.replace(weather(rate, kinds=_KINDS, delay=0.3))
                live(life, process, until=start + seconds * share)
                if share == 1.0:
                    missing = come_to_rest(life, server, process, seconds=60)
                    tell(life, process)
                elif number % 2:
                    process.popen.kill()
                else:
                    code = process.end()
                    assert code == 0, process.log[-2000:]
    return missing


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def tell(life: Life, process: Process) -> None:
    say(f"did: {dict(life.did)}; said no: {len(life.out)}; faults met: {life.faults}")
    for state in ("done", "failed", "locked", "crashed", "held"):
        say(f"runs {state} since the last start: {process.metric('optsync_runs_total', state=state):.0f}")
    say(f"runs skipped because one was under way: {process.metric('optsync_missed_runs_total'):.0f}")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=120)
    options.add_argument("--weather", type=float, default=0.05, help="share of requests that meet a fault")
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        missing = soak(chosen.seconds, chosen.weather, chosen.seed, Path(folder))
        log = next(Path(folder).glob("*.log")).read_text()
    for line in missing:
        say(f"LOST: {line}")
    if missing:
        say(log[-5000:])
    say("everything arrived, and nothing was written after that" if not missing else f"{len(missing)} lost")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
