"""Deleting a contact for good: Mailchimp blocks the address from imports afterwards."""

from optsync.connect.http import Effect
from optsync.errors import OutcomeUnknown
from optsync.model.change import Fact, Outcome, Result
from optsync_mailchimp.client import MailchimpClient
from optsync_mailchimp.reading import Reader
from optsync_mailchimp.refusals import of_reply, refused


def forget(client: MailchimpClient, reader: Reader, audience: str, record: str) -> Outcome:
    """See :meth:`optsync.connect.contract.CanForget.forget`. Only the person can come back, by a sign-up form.

    Raises:
        SystemUnavailable: the audience is not there.
    """
    path = f"/lists/{audience}/members/{record}/actions/delete-permanent"
    try:
        reply = client.send("POST", path, None, effect=Effect.REPEATABLE)
    except OutcomeUnknown as error:
        return Outcome(key=record, result=Result.UNKNOWN, record_id=record, message=str(error))
    if reply.is_ok:
        return Outcome(key=record, result=Result.APPLIED, record_id=record)
    if reply.status == 404:
        reader.confirm_audience(audience)
        return refused(record, Fact.GONE, id_=record)
    verdict = of_reply(reply)
    return refused(record, Fact.NOT_ALLOWED, id_=record, message=verdict.message)
