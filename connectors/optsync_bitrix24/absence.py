"""Why records are not shown. Refusals come in the portal's own language; ``crm.item.get`` alone tells by a code whether
a record is gone or may not be seen (Bitrix24 REST documentation, crm.item.get; checked August 2026)."""

from collections.abc import Iterable, Sequence

from optsync.connect.http import Effect
from optsync.errors import SystemFailure
from optsync_bitrix24.client import Client, Command
from optsync_bitrix24.listing import BATCH
from optsync_bitrix24.refusals import Meaning, meaning

_ENTITY_TYPES = {"lead": 1, "contact": 3, "company": 4}


def why_absent(client: Client, entity: str, ids: Iterable[str], *, restrictive: bool) -> dict[str, Meaning]:
    """By id what the portal says to who asks for that record alone: ``GONE``, ``DENIED`` or something that tells
    neither; ``BUSY`` where it could not be asked. Those that it shows are left out. One call for 50."""
    asked = list(ids)
    why: dict[str, Meaning] = {}
    for start in range(0, len(asked), BATCH):
        why |= _why_absent(client, _ENTITY_TYPES[entity], asked[start : start + BATCH], restrictive=restrictive)
    return why


def _why_absent(client: Client, kind: int, ids: Sequence[str], *, restrictive: bool) -> dict[str, Meaning]:
    commands = {f"i{one}": Command(method="crm.item.get", params={"entityTypeId": kind, "id": one}) for one in ids}
    try:
        reply = client.batch(commands, effect=Effect.READ, restrictive=restrictive)
    except SystemFailure:
        return dict.fromkeys(ids, Meaning.BUSY)
    silent = {one: Meaning.BUSY for one in ids if f"i{one}" not in reply.results}
    return silent | {one: meaning(reply.errors[f"i{one}"]) for one in ids if f"i{one}" in reply.errors}
