"""Real processes on loopback: vendor mocks behind HTTP in the test's process, the daemon in one of its own."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from optsync.clock import SystemClock
from optsync.connect.mock import Person
from optsync.connect.registry import mocks
from optsync.state.store import Store
from optsync_mock.server import RunningServer

_IMPATIENT = """
import sys
from optsync.cli.app import run
from optsync.daemon import main
main.GRACE = float(sys.argv[1])
sys.exit(run(sys.argv[2:]))
"""
_BRANDS = {
    "acme": {
        "purposes": {"marketing": {"kind": "commercial", "basis": "consent", "topics": ["news", "offers", "events"]}}
    }
}


def email(number: int) -> str:
    return f"ann{number}@example.com"


def vendors(contacts: int, **options: Any) -> RunningServer:
    """A server with both vendors, each with the same people, known to both and subscribed."""
    clock = SystemClock()
    born = clock.now() - timedelta(days=100)
    filled = {}
    for name, kind in mocks().items():
        filled[name] = kind(clock=clock, rng=Random(name))
        filled[name].populate(
            Person(
                number=n,
                first_name=f"Ann{n}",
                last_name=f"Lee{n}",
                addresses=(email(n),),
                city="Riga",
                created_at=born,
            )
            for n in range(1, contacts + 1)
        )
    return RunningServer(mocks=filled, **options)


class Pair:
    """The two vendors of one server: ``crm`` and ``esp`` are their names there."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        sides = {mock.side.value: name for name, mock in server.mocks.items()}
        self.crm, self.esp = sides["crm"], sides["esp"]

    def systems(self, suffix: str = "") -> dict[str, Any]:
        return {
            f"crm{suffix}": self.server.config(self.crm).system,
            f"esp{suffix}": self.server.config(self.esp).system,
        }

    def sync(self, suffix: str = "", **options: Any) -> dict[str, Any]:
        crm, esp = self.server.config(self.crm), self.server.config(self.esp)
        return {
            "scope": "acme/marketing",
            "every": "1s",
            "crm": {"system": f"crm{suffix}", **crm.side},
            "esp": {"system": f"esp{suffix}", **esp.side},
            "fields": [{"crm": crm.fields["city"], "esp": esp.fields["city"]}],
            **options,
        }

    def crm_says_no(self, number: int) -> None:
        self.server.act(self.crm, "opt_out", email=email(number))

    def person_unsubscribes(self, number: int) -> None:
        self.server.act(self.esp, "unsubscribe", email=email(number))

    def moves(self, number: int, city: str) -> None:
        self.server.act(self.crm, "set_field", email=email(number), field="city", value=city)

    def is_out_at_esp(self, number: int) -> bool:
        return bool(self.server.act(self.esp, "view", email=email(number))["status"] == "out")

    def is_out_at_crm(self, number: int) -> bool:
        return bool(self.server.act(self.crm, "view", email=email(number))["opt_out"])

    def city_at_esp(self, number: int) -> str:
        return str(self.server.act(self.esp, "view", email=email(number))["fields"]["city"])


def configuration(folder: Path, *, systems: Mapping[str, Any], syncs: Mapping[str, Any], port: int = 0) -> Path:
    path = folder / f"config{port or ''}.yaml"
    document = {
        "state": {"url": "sqlite:///state.db"},
        "secret_keys": ["a secret of the tests"],
        "brands": _BRANDS,
        "systems": dict(systems),
        "syncs": dict(syncs),
        "web": {"listen": f"127.0.0.1:{port or free_port()}"},
    }
    path.write_text(yaml.safe_dump(document))
    return path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Process:
    """The daemon on a configuration, from ``with`` to its end; killed there if it still runs. ``grace``: seconds
    that it gives its runs to end, other than its own number."""

    def __init__(self, config: Path, *, grace: float | None = None) -> None:
        self._command = ["-m", "optsync.cli.app", "-c", str(config), "daemon"]
        if grace is not None:
            self._command = ["-c", _IMPATIENT, str(grace), *self._command[2:]]
        self._log = config.with_suffix(".log")
        self.url = f"http://{yaml.safe_load(config.read_text())['web']['listen']}"

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, *self._command],
                stdout=log,
                stderr=log,
            )
        wait_for(lambda: self.popen.poll() is not None or self.get("/healthz") == 200, "the daemon answers")
        assert self.popen.poll() is None, self.log
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(10)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def entries(self, event: str) -> list[dict[str, Any]]:
        """The log's entries about that event."""
        found = [json.loads(line) for line in self.log.splitlines()]
        return [entry for entry in found if entry["event"] == event]

    def get(self, path: str) -> int:
        """The answer's status, 0 without an answer."""
        try:
            return requests.get(f"{self.url}{path}", timeout=5).status_code
        except requests.RequestException:
            return 0

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples with these labels."""
        text = requests.get(f"{self.url}/metrics", timeout=5).text
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples if s.name == name]
        return sum(s.value for s in samples if labels.items() <= s.labels.items())

    def end(self, number: signal.Signals = signal.SIGTERM, *, within: float = 40) -> int:
        """Asks it to end and returns its exit code."""
        self.popen.send_signal(number)
        return self.popen.wait(within)


def wait_for(holds: Callable[[], bool], what: str, *, within: float = 20) -> None:
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, f"not within {within} s: {what}"
        SystemClock().sleep(0.05)


def applied_opt_outs(folder: Path) -> list[tuple[str, str | None]]:
    """System and record of every opt-out that the journal calls applied."""
    store = Store(f"sqlite:///{folder / 'state.db'}", SystemClock())
    try:
        with store.reading() as unit:
            changes = [c for run in unit.runs.list(limit=1000) for c in unit.changes.of_run(run.uid)]
    finally:
        store.close()
    return [(c.system, c.record) for c in changes if c.kind == "opt_out" and c.state == "applied"]


def all_of(holds: Callable[[int], bool], numbers: Iterable[int]) -> Callable[[], bool]:
    return lambda: all(holds(number) for number in numbers)
