"""Looking at the connected accounts: who they are, what they allow, and whether they still are the same."""

import hashlib
import hmac
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from optsync.config.keys import known_keys, secret_keys
from optsync.connect.contract import CanArchive, CanReportActivity, CanTag, Health, Problem, Severity
from optsync.errors import ConfigError, SystemFailure
from optsync.reconcile.policy import Enter, Inactive, SyncPolicy
from optsync.state.pseudonyms import fingerprint
from optsync.state.unit import Unit
from optsync.sync.engine import Engine
from optsync.sync.guard import held_key, meaning_key
from optsync.sync.report import Report
from optsync.sync.run import run_cycle
from optsync.sync.waiting import decided_key

_log = structlog.get_logger(__name__)


class AnotherAccount(ConfigError):
    """The name of a system leads to another account than before."""

    def __init__(self, system: str, known: str, found: str) -> None:
        super().__init__(
            f"systems.{system}: this is the account {found}, and what is known under that name belongs to {known}. "
            f"Nothing was read or written. Put the former credentials back, give the new account a name of its own, "
            f"or let optsync get to know it anew: optsync sync --rebase {system}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemCheck:
    """``failure`` when the system could not be asked; ``health`` otherwise."""

    system: str
    connector: str
    health: Health | None = None
    failure: SystemFailure | None = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        return self.health.problems if self.health else ()

    @property
    def is_ok(self) -> bool:
        return self.health is not None and not any(p.severity is Severity.ERROR for p in self.problems)

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {"connector": self.connector, "ok": self.is_ok}
        if self.health:
            value |= {
                "account_id": self.health.account_id,
                "account_name": self.health.account_name,
                "clock_offset_s": self.health.clock_offset,
            }
        value["problems"] = [{"severity": p.severity, "field": p.field, "message": p.message} for p in self.problems]
        if self.failure:
            value["error"] = str(self.failure)
        return value


def check_systems(engine: Engine) -> list[SystemCheck]:
    """Asks every configured system about itself and about everything the syncs need from it. A system that could
    be asked for the first time is remembered by its account.

    Raises:
        AnotherAccount: a system's name leads to another account than before.
    """
    results = [_check(engine, system) for system in engine.connectors]
    for result in results:
        if result.health:
            with engine.store.transaction() as unit:
                _remember(engine, unit, result.system, result.health)
    return results


def _check(engine: Engine, system: str) -> SystemCheck:
    connector = engine.config.systems[system].connector
    specs = [b.spec for b in engine.bound.sources.values() if b.system == system]
    try:
        health = engine.connectors[system].check(specs)
    except SystemFailure as failure:
        return SystemCheck(system=system, connector=connector, failure=failure)
    return SystemCheck(system=system, connector=connector, health=health)


def warnings(engine: Engine) -> list[str]:
    """What is configured so that an opt-out does not reach everybody, or so that it has no effect."""
    found = []
    for name, policy in engine.bound.policies.items():
        for travels, way in ((policy.outs_to_esp, "crm_to_esp"), (policy.outs_to_crm, "esp_to_crm")):
            if not travels:
                found.append(
                    f"sync {name}: opt_out.{way} is off: these opt-outs are known and may-send honours them, "
                    "but the other side is not told and may go on mailing"
                )
        if policy.enter is Enter.REQUEST and not policy.can_ask:
            found.append(
                f"sync {name}: policy.enter: request has no effect: the connector of {policy.esp_system} cannot ask "
                "anybody to confirm; whoever has no known consent is not entered"
            )
        found.extend(_without_effect(engine, policy))
    return found


def _without_effect(engine: Engine, policy: SyncPolicy) -> Iterator[str]:
    """A policy about inactive people for which the connector lacks a power."""
    connector = engine.connectors[policy.esp_system]
    needed: dict[type, str] = {CanReportActivity: "does not report who gives signs of life"}
    needed |= {CanTag: "cannot tag"} if policy.inactive is Inactive.TAG else {CanArchive: "cannot archive"}
    lacks = next((reason for power, reason in needed.items() if not isinstance(connector, power)), None)
    if policy.inactive is not Inactive.KEEP and lacks:
        yield (
            f"sync {policy.name}: policy.inactive: {policy.inactive} has no effect: "
            f"the connector of {policy.esp_system} {lacks}"
        )


def keys_in_use(engine: Engine) -> list[dict[str, Any]]:
    """The secret keys by fingerprint, the first one first, with the number of forgotten people that are known by each:
    one by which nobody is known may go."""
    with engine.store.reading() as unit:
        hashed = unit.points.hash_keys()
    listed = [fingerprint(key) for key in known_keys(engine.config)]
    return [{"key": key, "forgotten": hashed.get(key, 0)} for key in listed]


# the account behind a system's name


def verify_accounts(engine: Engine, systems: Iterable[str], *, is_rehearsal: bool = False) -> None:
    """Refuses systems whose settings changed and lead to another account. Costs a request only where the settings
    are not those under which the account was last seen; a system out of reach is left to the cycle that follows. A
    rehearsal remembers nothing.

    Raises:
        AnotherAccount: see there.
    """
    for system in sorted(set(systems)):
        with engine.store.reading() as unit:
            known = unit.meta.get(_account(system))
            settings = unit.meta.get(_settings(system))
        if not known or settings == _fingerprint(engine, system):
            continue
        try:
            health = engine.connectors[system].check(())
        except SystemFailure:
            continue
        _refuse_another(system, known, health)
        if not is_rehearsal:
            with engine.store.transaction() as unit:
                _remember(engine, unit, system, health)


def get_to_know(engine: Engine, systems: Iterable[str]) -> None:
    """Remembers the accounts of systems that have worked and whose account is not known yet."""
    for system in sorted(set(systems)):
        with engine.store.reading() as unit:
            if unit.meta.get(_account(system)):
                continue
        try:
            health = engine.connectors[system].check(())
        except SystemFailure as failure:
            _log.warning("account not looked up", system=system, failure=type(failure).__name__)
            continue
        with engine.store.transaction() as unit:
            _remember(engine, unit, system, health)


def rebase(engine: Engine, system: str) -> None:
    """Forgets which account the name stands for: the next read is a first sight, which lifts nothing. What was said
    in the ledger stays. The former account's records are set aside: the same number is somebody else now, and that
    they are not in the new account is nobody's wish."""
    former = f"{system} until {engine.clock.now():%Y-%m-%dT%H:%M:%S.%fZ}"
    with engine.store.transaction() as unit:
        unit.meta.put(_account(system), "")
        for sync in engine.bound.policies:
            is_planned = unit.meta.get(meaning_key(sync)) is not None
            if is_planned and system in systems_of(engine, [sync]):
                for key in (meaning_key(sync), held_key(sync)):
                    unit.meta.put(key, f"rebased {system}")
                unit.meta.put(decided_key(sync), f"rebased {system}")  # what waits was decided about other records
        for source in unit.sources.all():
            if source.system == system:
                unit.sources.retire(source.id, former)


def note_clocks(engine: Engine, systems: Collection[str]) -> None:
    """Keeps the measured clock offsets, so that ``status`` can show them without asking anybody."""
    measured = {s: engine.connectors[s].clock_offset for s in sorted(set(systems))}
    with engine.store.transaction() as unit:
        for system, offset in measured.items():
            if offset is not None:
                unit.meta.put(clock_key(system), f"{offset:.3f}")


def clock_key(system: str) -> str:
    """Where the last measured offset of a system's clock is kept."""
    return f"clock_offset:{system}"


def systems_of(engine: Engine, syncs: Sequence[str]) -> set[str]:
    """The systems that these syncs (all, if none is named) connect."""
    names = syncs or list(engine.bound.policies)
    return {b.system for name in names for b in engine.bound.sources_of(name)}


def _remember(engine: Engine, unit: Unit, system: str, health: Health) -> None:
    known = unit.meta.get(_account(system))
    if known:
        _refuse_another(system, known, health)
    else:
        unit.meta.put(_account(system), health.account_id)
    unit.meta.put(_settings(system), _fingerprint(engine, system))
    if health.clock_offset is not None:
        unit.meta.put(clock_key(system), f"{health.clock_offset:.3f}")


def _refuse_another(system: str, known: str, health: Health) -> None:
    if known != health.account_id:
        raise AnotherAccount(system, known, health.account_id)


def _account(system: str) -> str:
    return f"account:{system}"


def _settings(system: str) -> str:
    return f"settings:{system}"


def _fingerprint(engine: Engine, system: str) -> str:
    """A keyed hash, since the settings hold passwords that could be guessed from a plain one."""
    settings = engine.config.systems[system]
    revealed = {name: _plain(getattr(settings, name)) for name in sorted(type(settings).model_fields)}
    return hmac.new(secret_keys(engine.config)[0], repr(revealed).encode(), hashlib.sha256).hexdigest()[:32]


def _plain(value: Any) -> Any:
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def run_on_known_accounts(engine: Engine, syncs: Sequence[str] = (), **options: Any) -> Report:
    """:func:`optsync.sync.run.run_cycle`, on the accounts that the state belongs to: other ones are refused before,
    new ones are remembered after.

    Raises:
        AnotherAccount: see there.
    """
    systems = systems_of(engine, syncs)
    verify_accounts(engine, systems)
    report = run_cycle(engine, syncs, **options)
    ran = [name for name, sync in report.syncs.items() if not sync.is_locked_out]
    worked = systems_of(engine, ran) if ran else set()
    get_to_know(engine, worked - report.failed_systems)
    note_clocks(engine, worked)
    return report
