"""The connection check: who we are, what we may do, and whether everything that is configured exists."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from optsync.connect.contract import Health, Problem, Severity
from optsync.connect.http import Effect
from optsync.model.page import ReadSpec
from optsync_bitrix24.client import BatchReply, Command
from optsync_bitrix24.listing import Listing
from optsync_bitrix24.mapping import ENTITIES, Fields, truth
from optsync_bitrix24.php import as_list, as_map
from optsync_bitrix24.where import faults


def check(listing: Listing, specs: Sequence[ReadSpec], *, account: str) -> Health:
    """See :meth:`optsync.connect.contract.Connector.check`; one call."""
    entities = [entity for entity in ENTITIES if any(spec.collection == entity for spec in specs)]
    commands = {name: Command(method=name, params={}) for name in ("profile", "scope", "server.time")}
    asked = {name.replace(".", "_"): command for name, command in commands.items()}
    asked |= {f"fields_{entity}": Command(method=f"crm.{entity}.fields", params={}) for entity in entities}
    reply = listing.client.batch(asked, effect=Effect.READ)
    problems = [*_account_problems(reply), *_clock_problems(reply)]
    for entity in entities:
        listing.catalog.learn(entity, reply.results.get(f"fields_{entity}"))
    for spec in specs:
        problems += _spec_problems(spec, listing, reply)
    return Health(
        account_id=account,
        account_name=account,
        clock_offset=listing.client.clock_offset,
        problems=tuple(dict.fromkeys(problems)),
    )


def _account_problems(reply: BatchReply) -> list[Problem]:
    found = []
    scopes = as_list(reply.results.get("scope"))
    if scopes is not None and "crm" not in scopes:
        found.append(_error("the webhook lacks the permission CRM (crm); tick it in the webhook's settings"))
    profile = as_map(reply.results.get("profile")) or {}
    if truth(profile.get("ADMIN")) is not True:
        found.append(
            _warning(
                "the webhook's owner is no administrator: records that this employee may not see are left out"
                " without a word; give full CRM rights, or use an administrator's webhook"
            )
        )
    return found


def _clock_problems(reply: BatchReply) -> list[Problem]:
    if reply.started_at is None and not _is_time(reply.results.get("server_time")):
        return [_warning("the portal does not tell its time; every read will be a full one")]
    return []


def _spec_problems(spec: ReadSpec, listing: Listing, reply: BatchReply) -> list[Problem]:
    entity = spec.collection
    if entity not in ENTITIES:
        return [_error(f"there is no entity {entity}; expected one of {', '.join(ENTITIES)}")]
    known = listing.catalog.get(entity)
    if f"fields_{entity}" not in reply.results or known is None:
        return [_error(f"the fields of {entity} cannot be read: the webhook's owner needs CRM rights for it")]
    return [*_field_problems(spec, known), *_topic_problems(spec, known), *_list_problems(spec, known)]


def _field_problems(spec: ReadSpec, known: Fields) -> list[Problem]:
    found = []
    for name in sorted(spec.fields - spec.topics):
        where = f"{spec.collection}.{name}"
        if name not in known:
            found.append(_missing(name, where, is_flag=name in spec.flags))
        elif not known[name].is_mappable:
            found.append(_error(f"{where} cannot be mapped: it is never shown as a value of its record", name))
        elif name in spec.flags and known[name].nature != "boolean":
            found.append(_error(f"{where} must be a yes/no field; it is of type {known[name].type}", name))
        elif name in spec.flags and known[name].is_read_only:
            found.append(_error(f"{where} is read-only; a flag must be writable", name))
    return found


def _missing(name: str, where: str, *, is_flag: bool) -> Problem:
    # Whatever it is called: of a flag that is not there no opt-out would ever be heard.
    if is_flag or name.startswith("UF_"):
        return _error(f"{where} does not exist; create the custom field, or correct the name", name)
    # Contacts, leads and companies have different standard fields; a sync over several may map one that one lacks.
    return _warning(f"{where} does not exist; it is always empty and cannot be written", name)


def _topic_problems(spec: ReadSpec, known: Fields) -> list[Problem]:
    found = []
    for name in sorted(spec.topics):
        where = f"{spec.collection}.{name}"
        if name not in known:
            found.append(_error(f"{where} does not exist; create a custom field of type yes/no", name))
        elif known[name].nature != "boolean":
            found.append(_error(f"{where} must be a yes/no field; it is of type {known[name].type}", name))
        elif known[name].is_read_only:
            found.append(_error(f"{where} is read-only; a topic must be writable", name))
    return found


def _list_problems(spec: ReadSpec, known: Fields) -> list[Problem]:
    return [
        _error(f"list scope {name} of {spec.collection}: {key} {why}", key)
        for name, where in spec.lists.items()
        for key, why in faults(_plain(where), known)
    ]


def _plain(where: Mapping[str, Any]) -> Mapping[str, Any]:
    return {str(key): value for key, value in where.items()}


def _is_time(value: Any) -> bool:
    try:
        return datetime.fromisoformat(str(value)).tzinfo is not None
    except ValueError:
        return False


def _error(message: str, field: str | None = None) -> Problem:
    return Problem(severity=Severity.ERROR, message=message, field=field)


def _warning(message: str, field: str | None = None) -> Problem:
    return Problem(severity=Severity.WARNING, message=message, field=field)
