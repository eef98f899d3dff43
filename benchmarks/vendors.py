"""Both vendors behind HTTP in a process of their own, so that an engine's process is the engine and nothing else.

``python -m benchmarks.vendors`` serves until its standard input is closed; its URL is the first line it writes.
"""

import json
import random
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from benchmarks.clock import START, SharedClock
from benchmarks.deeds import Deeds, plain_people
from benchmarks.slow import SlowMock
from optsync.connect.mock import VendorMock
from optsync.connect.registry import mocks
from optsync.model.record import Side
from optsync_mock.population import people
from optsync_mock.server import RunningServer

CRM, ESP = "bitrix24", "mailchimp"
ROOT = Path(__file__).resolve().parents[1]
_PATIENCE_S = 3600.0
"""A million people are moved in within minutes, and changed within more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """Who lives there, and how slow its vendors are. ``crm``: switches of the CRM's mock. ``crowd``: mixed, as people
    are, or plain: everybody in on both sides, which leaves a first sync nothing to write."""

    population: int
    seed: int = 1
    crm: Mapping[str, Any] = field(default_factory=dict)
    crowd: str = "mixed"


def served(town: Town, clock: SharedClock) -> dict[str, SlowMock]:
    """The mocks with everybody moved in, one person at a time."""
    found = mocks()
    crm = found[CRM](clock=clock, rng=random.Random(1), **town.crm)
    esp = found[ESP](clock=clock, rng=random.Random(2))
    plain: dict[str, VendorMock] = {CRM: crm, ESP: esp}
    make = people if town.crowd == "mixed" else plain_people
    crowd = partial(make, town.seed, town.population, START)
    for mock in plain.values():
        mock.populate(crowd())
    deeds = Deeds({Side.CRM: crm, Side.ESP: esp}, crowd, clock.pass_by)
    return {name: SlowMock(mock, clock, lambda: deeds) for name, mock in plain.items()}


class Vendors:
    """The process, from ``with`` to its end. ``clock``: the file of a :class:`SharedClock`."""

    def __init__(self, town: Town, clock: Path) -> None:
        self._town = town
        self._clock = clock
        self._session = requests.Session()

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "benchmarks.vendors", str(self._clock)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(asdict(self._town)) + "\n")
        self._process.stdin.flush()
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError("the vendors' process did not serve")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()
        self._process.kill()
        self._process.communicate()

    def config(self) -> dict[str, Any]:
        """By mock, what a configuration needs."""
        shown: dict[str, Any] = self._session.get(f"{self.url}/_mock/config", timeout=60).json()
        return shown

    def act(self, mock: str, action: str, **arguments: Any) -> Any:
        url = f"{self.url}/_mock/{mock}/act/{action}"
        answer = self._session.post(url, json=arguments, timeout=_PATIENCE_S)
        if answer.status_code != 200:
            raise RuntimeError(f"{action}: {answer.text[:500]}")
        return answer.json()

    def calls(self) -> dict[str, int]:
        """By mock, the requests since the last time they were asked for."""
        counted = {}
        for mock in (CRM, ESP):
            url = f"{self.url}/_mock/{mock}/log"
            counted[mock] = int(self._session.get(f"{url}?last=0", timeout=60).json()["calls"])
            self._session.delete(url, timeout=60)
        return counted


def main() -> None:
    town = Town(**json.loads(sys.stdin.readline()))
    clock = SharedClock(Path(sys.argv[1]))
    with RunningServer(mocks=served(town, clock), clock=clock) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
