"""CRM fields that two syncs use: what shows a wish in one of them means the same in the other and is no value there."""

from collections.abc import Iterator, Mapping

from optsync.config.places import Path
from optsync.config.problem import Problem
from optsync.config.schema import Config, SyncConfig
from optsync.config.sync_checks import filters_by_entity, flags_of

_Field = tuple[str, str, str]
"""Account, entity and name."""
_NO_OPT_IN = "a field that is no opt-in there: esp_only: create_in_crm gives new records its values"
_NO_PERMISSION = frozenset({"opt_out", "bounce", "reason"})


def shared_field_problems(config: Config, accounts: Mapping[str, str]) -> Iterator[Problem]:
    """Flags that another sync takes for something else, or writes as a value; and those that permit something and are
    given to its new records. ``accounts``: by system, the first one with the same settings."""
    known: dict[_Field, dict[str, tuple[str, Path]]] = {}
    for sync in config.syncs.values():
        for place, name in flags_of(sync).items():
            meaning = "topic" if place[0] == "topics" else ".".join(map(str, place))
            yield from _clash(sync, ("crm", *place), name, known, accounts, but=meaning)
            for field in _fields(sync, name, accounts):
                known.setdefault(field, {}).setdefault(meaning, (sync.name, place))
    for sync in config.syncs.values():
        for place, name in _values(sync):
            yield from _clash(sync, place, name, known, accounts)
    # To require that nobody is out gives a new record no more than it has.
    permissions = {field: {m: w for m, w in by.items() if m not in _NO_PERMISSION} for field, by in known.items()}
    for sync in config.syncs.values():
        for place, name in _given_to_new_records(sync):
            yield from _clash(sync, place, name, permissions, accounts, expected=_NO_OPT_IN)


def _values(sync: SyncConfig) -> Iterator[tuple[Path, str]]:
    """What is written to the CRM that stands for no wish."""
    for index, rule in enumerate(sync.fields):
        if rule.to_crm:
            yield ("fields", index, "crm"), rule.crm
    for key in ("on_opt_out", "on_opt_in"):
        for scope, fields in getattr(sync, key).items():
            yield from (((key, scope, name), name) for name in fields)
    for index, entry in enumerate(sync.handlers):
        yield from ((("handlers", index), name) for name in entry.fields)


def _given_to_new_records(sync: SyncConfig) -> Iterator[tuple[Path, str]]:
    """The list scope's equalities, where new records get them."""
    if sync.policy.esp_only == "create_in_crm" and not any(filters_by_entity(sync)):
        several = len(sync.crm.entity) > 1
        for entity, terms in sync.filters().items():
            for key in terms:
                yield ("crm", "where", *((entity,) if several else ()), key), key.removeprefix("=")


def _fields(sync: SyncConfig, name: str, accounts: Mapping[str, str]) -> Iterator[_Field]:
    return ((accounts[sync.crm.system], entity, name) for entity in sync.crm.entity)


def _clash(
    sync: SyncConfig,
    place: Path,
    name: str,
    known: Mapping[_Field, Mapping[str, tuple[str, Path]]],
    accounts: Mapping[str, str],
    *,
    but: str | None = None,
    expected: str = "a field of its own: that one stands for a wish there",
) -> Iterator[Problem]:
    for field in _fields(sync, name, accounts):
        for meaning, (other, mapped) in known.get(field, {}).items():
            if meaning != but and other != sync.name:
                found = f'"{name}", which is {".".join(map(str, mapped))} in syncs.{other}'
                path: Path = ("syncs", sync.name, *place)
                yield Problem(path=path, found=found, expected=expected)
                return
