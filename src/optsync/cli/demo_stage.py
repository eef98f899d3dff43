"""Where the demo plays: imitated vendors on loopback, a configuration for them, and a clock that waits for nobody."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, Self

from ruamel.yaml import YAML

from optsync.cli.mock_server import TOOLS
from optsync.clock import Clock
from optsync.connect.mock import MockConfig, Person, VendorMock
from optsync.connect.registry import mocks
from optsync.errors import CommandRefused
from optsync.model.record import Side

SCOPE = "acme/marketing"
SYNC = "newsletter"
_FIELDS = ("first_name", "last_name", "city", "plan")


class HurriedClock:
    """The machine's time plus everything that somebody would have waited: rate limits and polling intervals are
    kept as they are with the real vendors, only nobody sits through them."""

    def __init__(self, real: Clock) -> None:
        self._real = real
        self._ahead = 0.0

    @property
    def skipped(self) -> float:
        """Seconds that nobody had to wait."""
        return self._ahead

    def now(self) -> datetime:
        return self._real.now() + timedelta(seconds=self._ahead)

    def monotonic(self) -> float:
        return self._real.monotonic() + self._ahead

    def sleep(self, seconds: float) -> None:
        self._ahead += max(0.0, seconds)


class MockServer(Protocol):
    """What the tool ``running_server`` gives: the imitations on a free port, for the time of a ``with``."""

    mocks: Mapping[str, VendorMock]
    url: str

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def config(self, mock: str) -> MockConfig: ...

    def act(self, mock: str, action: str, **arguments: Any) -> Any: ...

    def log(self, mock: str, *, last: int = ...) -> dict[str, Any]: ...


def mock_server(*, seed: int, contacts: int, clock: Clock) -> MockServer:
    """A server of all installed imitations, filled with ``contacts`` people each; not yet started.

    Raises:
        CommandRefused: it is not installed.
    """
    # By entry point: the server is part of the connectors, and the core names none of them.
    for point in entry_points(group=TOOLS, name="running_server"):
        server: MockServer = point.load()(seed=seed, contacts=contacts, clock=clock)
        return server
    raise CommandRefused("the mock server is not installed; install optsync with its connectors")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A server with the two systems that the demo connects, each under its imitation's name."""

    server: MockServer
    systems: Mapping[Side, str]

    def seat(self, people: Iterable[Person]) -> None:
        """Puts these people into both systems, before anything is read."""
        cast = list(people)
        for name in self.systems.values():
            self.server.mocks[name].populate(cast)

    def act(self, side: Side, action: str, **arguments: Any) -> Any:
        """What people do in that system."""
        return self.server.act(self.systems[side], action, **arguments)

    def writes(self) -> int:
        """Writing requests that both systems have received."""
        return sum(int(self.server.log(name, last=0)["writes"]) for name in self.systems.values())

    def shows(self, side: Side, email: str) -> dict[str, Any]:
        """What the system holds about the address; empty if it does not know it."""
        return dict(self.act(side, "view", email=email) or {})

    def write_config(self, folder: Path, *, contacts: int) -> Path:
        """A configuration that connects the two; returns its path."""
        path = folder / "config.yaml"
        with path.open("w", encoding="utf-8") as file:
            YAML().dump(_document(self, contacts), file)
        return path


def stage(*, seed: int, contacts: int, clock: Clock) -> Stage:
    """One CRM and one e-mail platform of those that are installed.

    Raises:
        CommandRefused: there are not both.
    """
    installed = mocks()
    systems: dict[Side, str] = {}
    for name, kind in installed.items():
        systems.setdefault(kind.side, name)
    if missing := [side.value for side in Side if side not in systems]:
        raise CommandRefused(f"no imitation of a system that plays {missing[0]} is installed")
    return Stage(server=mock_server(seed=seed, contacts=contacts, clock=clock), systems=systems)


def _document(on: Stage, contacts: int) -> dict[str, Any]:
    crm, esp = (on.server.config(on.systems[side]) for side in (Side.CRM, Side.ESP))
    # Who connects for the first time may look at the counts and say yes; the demo has nobody to ask.
    limit = {"max": max(contacts, 50), "cap": max(contacts, 100_000)}
    return {
        "state": {"url": "sqlite:///optsync.db"},
        "brands": {
            "acme": {
                "purposes": {
                    "marketing": {"kind": "commercial", "basis": "consent", "topics": sorted(crm.side["topics"])},
                    "service": {"kind": "transactional"},
                }
            }
        },
        "systems": {on.systems[Side.CRM]: crm.system, on.systems[Side.ESP]: esp.system},
        "syncs": {
            SYNC: {
                "scope": SCOPE,
                "crm": {"system": on.systems[Side.CRM], **crm.side},
                "esp": {"system": on.systems[Side.ESP], **esp.side},
                "fields": _field_rules(crm, esp),
            }
        },
        "guard": {kind: dict(limit) for kind in ("opt_outs", "opt_ins", "updates", "archives")},
        "log": {"level": "warning"},
    }


def _field_rules(crm: MockConfig, esp: MockConfig) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = []
    for name in _FIELDS:
        if name not in crm.fields or name not in esp.fields:
            continue
        rule: dict[str, Any] = {"crm": crm.fields[name], "esp": esp.fields[name]}
        if name == "plan" and crm.plan_values:
            rule["transform"] = {"map": {value: label for label, value in crm.plan_values.items()}}
        rules.append(rule)
    return rules
