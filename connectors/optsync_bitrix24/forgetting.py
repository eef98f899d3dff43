"""Deleting a record: it goes to the portal's recycle bin, and from there for good after the portal's own term."""

from optsync.connect.http import Effect
from optsync.errors import OutcomeUnknown
from optsync.model.change import Fact, Outcome, Result
from optsync_bitrix24.absence import why_absent
from optsync_bitrix24.client import Client
from optsync_bitrix24.refusals import Meaning, meaning

_WORDS = {
    Meaning.DENIED: "the webhook's owner may not delete it",
    Meaning.BUSY: "the portal is busy",
}


def forget(client: Client, entity: str, record: str) -> Outcome:
    """See :meth:`optsync.connect.contract.CanForget.forget`. Deals and activities stay, without their contact."""
    try:
        reply = client.call(f"crm.{entity}.delete", {"id": record}, effect=Effect.REPEATABLE)
    except OutcomeUnknown as error:
        return Outcome(key=record, result=Result.UNKNOWN, record_id=record, message=str(error))
    if reply.error is None:
        # The portal says true where it has deleted.
        result = Result.APPLIED if reply.result else Result.UNKNOWN
        return Outcome(key=record, result=result, record_id=record)
    found = meaning(reply.error)
    if found in {Meaning.INVALID, Meaning.OTHER}:  # perhaps in another language
        found = why_absent(client, entity, [record], restrictive=False).get(record, found)
    if found is Meaning.GONE:
        return Outcome(key=record, result=Result.REFUSED, fact=Fact.GONE, record_id=record)
    words = _WORDS.get(found, str(reply.error))
    result = Result.FAILED if found in {Meaning.BUSY, Meaning.BROKEN} else Result.REFUSED
    return Outcome(key=record, result=result, record_id=record, message=words)
