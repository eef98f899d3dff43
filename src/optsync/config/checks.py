"""What only several keys together can show to be wrong, about the file as a whole."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from optsync.config import wording
from optsync.config.handling_checks import handling_problems
from optsync.config.places import Path
from optsync.config.problem import Problem
from optsync.config.schema import Config, SyncConfig
from optsync.config.shared_fields import shared_field_problems
from optsync.config.sync_checks import SYNC_CHECKS
from optsync.connect.contract import Connector
from optsync.connect.http import is_loopback
from optsync.model.scope import Kind, is_valid, purpose_of

Connectors = Mapping[str, type[Connector] | None]
Check = Callable[[Config], Iterator[Problem]]


def problems(config: Config, connectors: Connectors) -> Iterator[Problem]:
    """Everything the checks find, in no particular order. ``connectors`` are by system."""
    for check in _CHECKS:
        yield from check(config)
    yield from handling_problems(config)
    yield from shared_field_problems(config, _accounts(config))
    for sync in config.syncs.values():
        yield from _entities(sync, connectors.get(sync.crm.system))
        for sync_check in SYNC_CHECKS:
            yield from sync_check(sync)


def _at_least_one_sync(config: Config) -> Iterator[Problem]:
    if not config.systems:
        yield Problem(path=("systems",), found="no system", expected="at least two")
    if not config.syncs:
        yield Problem(path=("syncs",), found="no sync", expected="at least one")


def _names(config: Config) -> Iterator[Problem]:
    for section in ("systems", "syncs", "brands"):
        for name in getattr(config, section) or ():
            if not name or name != name.strip() or set(name) & set("/*\n") or len(name) > 64:
                expected = "a name without /, *, line ends and spaces around it, at most 64 characters long"
                yield Problem(path=(section, name), found="a name that cannot be used", expected=expected)


def _keys_are_kept(config: Config) -> Iterator[Problem]:
    if config.secret_keys:
        return
    if not config.state.is_sqlite or config.state.file is None:
        expected = "a list of secrets: only beside an SQLite file can optsync make and keep one itself"
        yield Problem(path=("secret_keys",), found="nothing", expected=expected, because=(("state",),))


def _scopes(config: Config) -> Iterator[Problem]:
    purposes = {purpose.scope: purpose for purpose in config.purposes}
    for name, sync in config.syncs.items():
        path: Path = ("syncs", name, "scope")
        purpose = purposes.get(purpose_of(sync.scope) or "") if is_valid(sync.scope) else None
        topic = sync.scope.split("/")[2] if purpose and sync.scope.count("/") == 2 else None
        if purpose is None:
            yield Problem(path=path, expected=wording.choice(sync.scope, purposes), because=(("brands",),))
        elif topic is not None and topic not in purpose.topics:
            expected = f"a topic of {purpose.scope}: {wording.one_of(purpose.topics) or 'none is declared'}"
            yield Problem(path=path, expected=expected, because=(("brands",),))
        elif purpose.kind is Kind.TRANSACTIONAL:
            yield from _cannot_opt_out(sync)
        else:
            yield from _status_is_mapped(sync)
            if topic is not None:
                yield from _topic_has_none(sync)


def _topic_has_none(sync: SyncConfig) -> Iterator[Problem]:
    """Nothing lies below a topic: what is said there would count for no scope that anybody can ask about."""
    path: Path = ("syncs", sync.name)
    for side in ("crm", "esp"):
        if names := getattr(sync, side).topics:
            expected = "nothing: its scope is a topic, and topics have none of their own"
            found, because = ", ".join(sorted(names)), ((*path, "scope"),)
            yield Problem(path=(*path, side, "topics"), found=found, expected=expected, because=because)


def _cannot_opt_out(sync: SyncConfig) -> Iterator[Problem]:
    """Nobody can be opted out of transactional mail, so nothing may be mapped that would."""
    path: Path = ("syncs", sync.name)
    because = ((*path, "scope"), ("brands",))
    nothing = "nothing: its scope is a transactional purpose, which nobody can be opted out of"
    for flag in ("opt_out", "opt_in"):
        if getattr(sync.crm, flag) is not None:
            yield Problem(path=(*path, "crm", flag), expected=nothing, because=because)
    for side in ("crm", "esp"):
        if getattr(sync, side).topics:
            yield Problem(path=(*path, side, "topics"), expected=nothing, because=because)
    for direction in ("crm_to_esp", "esp_to_crm"):
        if getattr(sync.opt_out, direction):
            expected = "false: its scope is a transactional purpose, which nobody can be opted out of"
            yield Problem(path=(*path, "opt_out", direction), found="true", expected=expected, because=because)


def _status_is_mapped(sync: SyncConfig) -> Iterator[Problem]:
    if sync.crm.opt_out is None and sync.crm.opt_in is None and (sync.opt_out.crm_to_esp or sync.opt_out.esp_to_crm):
        path: Path = ("syncs", sync.name)
        expected = (
            "opt_out (a boolean field, true = opted out), opt_in (true = opted in) or both, "
            "or opt_out: {crm_to_esp: false, esp_to_crm: false} on the sync"
        )
        because = ((*path, "crm", "opt_out"), (*path, "crm", "opt_in"), (*path, "opt_out"))
        yield Problem(path=(*path, "crm"), found="neither opt_out nor opt_in", expected=expected, because=because)


def _topics_are_declared(config: Config) -> Iterator[Problem]:
    if config.brands is None:
        return
    purposes = {purpose.scope: purpose for purpose in config.purposes}
    for name, sync in config.syncs.items():
        purpose = purposes.get(purpose_of(sync.scope) or "")
        if purpose is None or purpose.kind is Kind.TRANSACTIONAL:
            continue
        for side in ("crm", "esp"):
            for topic in getattr(sync, side).topics:
                if topic not in purpose.topics:
                    expected = f"a topic of {purpose.scope}: {wording.choice(topic, purpose.topics)}"
                    path: Path = ("syncs", name, side, "topics", topic)
                    yield Problem(path=path, found=f'topic "{topic}"', expected=expected, because=(("brands",),))


def _one_meaning_each(config: Config) -> Iterator[Problem]:
    """An audience's status, a CRM's flag and a consent date stand for one scope, whichever syncs share them: a date
    that proves an opt-in in one of them would prove it in the other."""
    meanings: dict[tuple[Any, ...], dict[str, str]] = defaultdict(dict)
    for sync in config.syncs.values():
        for thing, scope, path in _shown_by(sync, _accounts(config)):
            known = meanings[thing]
            for said, other in known.items():
                if scope == said or other == f"syncs.{sync.name}":
                    continue
                found = f'"{thing[-1]}" standing for {scope}, and in {other} for {said}'
                yield Problem(
                    path=path, found=found, expected="one scope wherever it is mapped", because=(("brands",),)
                )
            known.setdefault(scope, f"syncs.{sync.name}")


def _shown_by(sync: SyncConfig, accounts: Mapping[str, str]) -> Iterator[tuple[tuple[Any, ...], str, Path]]:
    """What shows a wish, the scope it is about, and where that is written."""
    path: Path = ("syncs", sync.name)
    crm, esp = accounts[sync.crm.system], accounts[sync.esp.system]
    yield ("audience", esp, sync.esp.audience), sync.scope, (*path, "esp", "audience")
    for topic, field in sync.esp.topics.items():
        yield ("interest", esp, sync.esp.audience, field), f"{sync.scope}/{topic}", (*path, "esp", "topics", topic)
    proof = sync.crm.consent.date
    shows = {("opt_out",): sync.crm.opt_out, ("opt_in",): sync.crm.opt_in, ("consent", "date"): proof}
    for entity in sync.crm.entity:
        for place, name in shows.items():
            if name is not None:
                yield ("flag", crm, entity, name), sync.scope, (*path, "crm", *place)
        for topic, field in sync.crm.topics.items():
            yield ("flag", crm, entity, field), f"{sync.scope}/{topic}", (*path, "crm", "topics", topic)


def _accounts(config: Config) -> dict[str, str]:
    """By system: the first system with the very same settings, since two names may mean one account."""
    first: dict[str, str] = {}
    for name, settings in config.systems.items():
        first[name] = next((known for known in first if config.systems[known] == settings), name)
    for sync in config.syncs.values():
        for system in (sync.crm.system, sync.esp.system):
            first.setdefault(system, system)
    return first


def _endpoints_are_encrypted(config: Config) -> Iterator[Problem]:
    for name, settings in config.systems.items():
        for key in type(settings).model_fields:
            value = getattr(settings, key)
            text = value.get_secret_value() if hasattr(value, "get_secret_value") else value
            if isinstance(text, str) and text.lower().startswith("http://") and not _is_local(text):
                expected = "an https:// address (http:// only for loopback)"
                found = "an address without encryption"
                yield Problem(path=("systems", name, key), found=found, expected=expected)


def _is_local(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False


def _entities(sync: SyncConfig, connector: type[Connector] | None) -> Iterator[Problem]:
    known = connector.capabilities.entities if connector is not None else ()
    path: Path = ("syncs", sync.name, "crm", "entity")
    for entity in sync.crm.entity if known else ():
        if entity not in known:
            yield Problem(path=path, found=f'"{entity}"', expected=wording.choice(entity, known))
    if len(set(sync.crm.entity)) < len(sync.crm.entity):
        yield Problem(path=path, expected="each entity once")


_CHECKS: tuple[Check, ...] = (
    _at_least_one_sync,
    _names,
    _keys_are_kept,
    _scopes,
    _topics_are_declared,
    _one_meaning_each,
    _endpoints_are_encrypted,
)
