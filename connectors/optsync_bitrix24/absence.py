"""Why records are not shown. Refusals come in the portal's own language; ``crm.item.get`` alone tells by a code whether
a record is gone or may not be seen (Bitrix24 REST documentation, crm.item.get; checked August 2026)."""

from collections.abc import Iterable

from optsync.connect.http import Effect
from optsync.errors import SystemFailure
from optsync_bitrix24.client import Client, Command
from optsync_bitrix24.refusals import Meaning, meaning

_ENTITY_TYPES = {"lead": 1, "contact": 3, "company": 4}


def why_absent(client: Client, entity: str, ids: Iterable[str], *, restrictive: bool) -> dict[str, Meaning]:
    """By id, at most 50, what the portal says to who asks for that record alone: ``GONE``, ``DENIED`` or something
    that tells neither. Those that it shows are left out, and all of them where it could not be asked. One call."""
    asked = {f"i{one}": one for one in ids}
    kind = _ENTITY_TYPES[entity]
    commands = {
        key: Command(method="crm.item.get", params={"entityTypeId": kind, "id": one}) for key, one in asked.items()
    }
    if not commands:
        return {}
    try:
        errors = client.batch(commands, effect=Effect.READ, restrictive=restrictive).errors
    except SystemFailure:
        return {}
    return {asked[key]: meaning(error) for key, error in errors.items() if key in asked}
