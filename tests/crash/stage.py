"""What a crash test plays on: both mocks, a configuration, a state database of either kind."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from optsync.clock import SystemClock
from optsync.connect.mock import Person
from optsync.connect.registry import load
from optsync.state.store import Store
from tests.crash.processes import Program
from tests.crash.shared import Shared
from tests.crash.vendors import CRM, ESP, Vendors
from tests.postgresql import create_database, text_of
from tests.scenarios.world import BRANDS

KINDS = ("sqlite", "postgresql")
KEY = "a secret of the tests"


def state_url(kind: str, folder: Path) -> str:
    """An empty state database."""
    return f"sqlite:///{folder}/state.db" if kind == "sqlite" else text_of(create_database())


def people(count: int, **details: Any) -> list[Person]:
    """Known to both systems and subscribed."""
    born = SystemClock().now() - timedelta(days=100)
    usual: dict[str, Any] = {"city": "Riga", "created_at": born, **details}
    return [
        Person(number=n, first_name=f"Ann{n}", last_name=f"Lee{n}", addresses=(email(n),), **usual)
        for n in range(1, count + 1)
    ]


def email(number: int) -> str:
    return f"ann{number}@example.com"


@dataclass(slots=True)
class Stage:
    shared: Shared
    vendors: Vendors
    config: Path
    url: str

    def program(self, *arguments: str) -> Program:
        return Program(self.shared, self.config, *arguments)

    def sync(self) -> Program:
        """One that was started and did its work; it may have found matters for a person."""
        program = self.program("sync", "--json")
        program.start()
        ended = program.wait()
        assert ended.code in (0, 1), (ended, program.printed[-3000:])
        assert '"state": "done"' in program.printed, program.printed[-3000:]
        return program

    def wait(self, minutes: float) -> None:
        self.shared.ahead += minutes * 60

    def store(self) -> Store:
        return Store(self.url, SystemClock(), keys=lambda: (KEY.encode(),))

    def crm(self, action: str, **arguments: Any) -> Any:
        return self.vendors.act(CRM, action, **arguments)

    def esp(self, action: str, **arguments: Any) -> Any:
        return self.vendors.act(ESP, action, **arguments)


@contextmanager
def staged(folder: Path, url: str, population: Iterable[Person]) -> Iterator[Stage]:
    """The mocks run until the end of the block; no ``sync`` has run yet."""
    for connector in (CRM, ESP):
        load(connector)  # so that no forked process has to import it, nor what commands import when they are called
    for module in ("cli.output", "cli.progress", "cli.report", "logs", "sync.check", "sync.compose", "sync.word"):
        import_module(f"optsync.{module}")
    shared = Shared()
    with Vendors(shared, population) as vendors:
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(_document(vendors.config(), url)))
        yield Stage(shared, vendors, path, url)


def _document(shown: Mapping[str, Any], url: str) -> dict[str, Any]:
    crm, esp = shown[CRM], shown[ESP]
    return {
        "state": {"url": url},
        "secret_keys": [KEY],
        "brands": BRANDS,
        "systems": {"crm": crm["system"], "esp": esp["system"]},
        "syncs": {
            "newsletter": {
                "scope": "acme/marketing",
                "crm": {"system": "crm", **crm["side"]},
                "esp": {"system": "esp", **esp["side"]},
                "fields": [{"crm": crm["fields"][n], "esp": esp["fields"][n]} for n in ("first_name", "city")],
            }
        },
    }
