"""What is wrong with the custom handling of opt-outs: scopes, fields, placeholders, handlers."""

from collections.abc import Iterator, Mapping

from optsync.config import wording
from optsync.config.parts import Setting
from optsync.config.places import Path
from optsync.config.problem import Problem
from optsync.config.schema import Config, SyncConfig
from optsync.connect import handlers
from optsync.model.scope import EVERYTHING, Kind, contains
from optsync.reconcile.handling import PLACEHOLDERS, unknown_placeholders


def handling_problems(config: Config) -> Iterator[Problem]:
    """Everything wrong with ``on_opt_out``, ``on_opt_in`` and ``handlers``, in no particular order."""
    known = _wish_scopes(config)
    for sync in config.syncs.values():
        scopes = [s for s in known if contains(s, sync.scope) or contains(sync.scope, s)]
        for key in ("on_opt_out", "on_opt_in"):
            wanted: Mapping[str, Mapping[str, Setting]] = getattr(sync, key)
            for scope, fields in wanted.items():
                path: Path = ("syncs", sync.name, key, scope)
                if scope not in scopes:
                    expected = f"a scope that this sync is about: {wording.choice(scope, scopes)}"
                    because = (("brands",), ("syncs", sync.name, "scope"))
                    yield Problem(path=path, found=f'"{scope}"', expected=expected, because=because)
                yield from _fields(sync, path, fields)
        yield from _handlers(sync)


def _wish_scopes(config: Config) -> list[str]:
    """What a wish can be about: everything, a brand, a commercial purpose, a topic of one."""
    found = [EVERYTHING]
    for purpose in config.purposes:
        if purpose.kind is not Kind.TRANSACTIONAL:
            found += [purpose.scope.partition("/")[0], purpose.scope]
            found += [f"{purpose.scope}/{topic}" for topic in purpose.topics]
    return list(dict.fromkeys(found))


def _taken(sync: SyncConfig) -> dict[str, str]:
    """CRM fields that mean something already, and as what."""
    crm, consent = sync.crm, sync.crm.consent
    named: dict[str | None, str] = {rule.crm: "a mapped field" for rule in sync.fields}
    named |= {field: f"topic {topic}" for topic, field in crm.topics.items()}
    named |= {consent.date: "consent.date", consent.source: "consent.source", consent.text: "consent.text"}
    named |= {crm.opt_out: "opt_out", crm.opt_in: "opt_in", crm.bounce: "bounce", crm.reason: "reason"}
    return {field: what for field, what in named.items() if field is not None}


def _fields(sync: SyncConfig, path: Path, fields: Mapping[str, Setting]) -> Iterator[Problem]:
    taken = _taken(sync)
    for name, value in fields.items():
        place: Path = (*path, name)
        if name in taken:
            found = f'"{name}", which is {taken[name]}'
            yield Problem(path=place, found=found, expected="a field of its own: no flag, topic or mapped field")
        if isinstance(value, str):
            yield from _placeholders(place, value)


def _placeholders(place: Path, template: str) -> Iterator[Problem]:
    known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    try:
        unknown = unknown_placeholders(template)
    except ValueError:
        yield Problem(path=place, found="braces that do not fit each other", expected=f"{known}; a brace itself: {{{{")
        return
    for name in unknown:
        yield Problem(path=place, found=f'"{{{name}}}"', expected=f"one of {known}; a brace itself: {{{{")


def _handlers(sync: SyncConfig) -> Iterator[Problem]:
    taken, names = _taken(sync), list(handlers.installed())
    seen: set[str] = set()
    for index, entry in enumerate(sync.handlers):
        place: Path = ("syncs", sync.name, "handlers", index)
        if entry.name not in names:
            expected = f"an installed handler: {wording.choice(entry.name, names) if names else 'none is installed'}"
            yield Problem(path=place, found=f'"{entry.name}"', expected=expected)
        if entry.name in seen:
            yield Problem(path=place, found=f'"{entry.name}" again', expected="each handler once")
        seen.add(entry.name)
        for field in entry.fields:
            if field in taken:
                found = f'"{field}", which is {taken[field]}'
                yield Problem(path=place, found=found, expected="a field of its own: no flag, topic or mapped field")
