"""Writes to a list: one outcome each, the restrictive ones first and together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from optsync.connect.http import Answer
from optsync.errors import CredentialsRefused, OutcomeUnknown, SystemFailure
from optsync.model.change import Fact, Outcome, Result, Write, WriteKind
from optsync.model.page import ReadSpec
from optsync.model.record import Record, Status
from optsync_mailman3 import mapping
from optsync_mailman3.client import MailmanClient, describe
from optsync_mailman3.reading import look_up

BATCH = 200


class Writer:
    """Carries out the writes of one call."""

    def __init__(self, client: MailmanClient, spec: ReadSpec) -> None:
        self._client = client
        self._spec = spec
        self._list = spec.collection
        self._outcomes: dict[str, Outcome] = {}

    def all(self, writes: Sequence[Write]) -> list[Outcome]:
        """One outcome per write, in their order.

        Raises:
            CredentialsRefused: before anything was written.
        """
        try:
            self._send(writes)
        except CredentialsRefused as failure:
            if not self._outcomes:
                raise
            self._give_up(writes, failure)
        except SystemFailure as failure:
            self._give_up(writes, failure)
        return [self._outcomes[write.key] for write in writes]

    def _send(self, writes: Sequence[Write]) -> None:
        leaving = [write for write in writes if write.kind is WriteKind.STATUS and write.status is Status.OUT]
        for batch in _batches(leaving, BATCH):
            self._guarded(batch, self._remove)
        for write in writes:
            if write.key not in self._outcomes:
                self._guarded([write], self._one)

    def _guarded(self, batch: Sequence[Write], send: Callable[[Sequence[Write]], None]) -> None:
        try:
            send(batch)
        except OutcomeUnknown as lost:
            for write in batch:
                self._set(write, Result.UNKNOWN, message=str(lost))

    def _give_up(self, writes: Sequence[Write], failure: SystemFailure) -> None:
        for write in writes:
            if write.key not in self._outcomes:
                self._set(write, Result.FAILED, message=f"not sent: {failure}")

    def _remove(self, batch: Sequence[Write]) -> None:
        removed = self._client.remove(self._list, [_id(write) for write in batch])
        for write in batch:
            if removed.get(_id(write)):
                self._set(write, Result.APPLIED, record=mapping.absent(_id(write)))
            elif _id(write) not in removed:
                self._set(write, Result.UNKNOWN, message="Mailman's answer did not name this address")
        strangers = [write for write in batch if write.key not in self._outcomes]
        for write in strangers:
            # First of all that it was sent: an earlier attempt may have removed them, and the look-up may fail.
            self._set(write, Result.UNKNOWN, message="Mailman had nobody to remove")
        shown = look_up(self._client, self._spec, map(_id, strangers)) if strangers else {}
        for write in strangers:
            self._set(write, Result.SAME, record=shown.get(_id(write), mapping.absent(_id(write))))

    def _one(self, batch: Sequence[Write]) -> None:
        (write,) = batch
        if write.kind in (WriteKind.STATUS, WriteKind.CREATE) and write.status in (Status.IN, Status.PENDING):
            self._join(write)
        elif write.kind is WriteKind.FIELDS:
            self._set_fields(write)
        else:
            what = f"{write.kind} {write.status or ''}".strip()
            self._set(write, Result.REFUSED, fact=Fact.NOT_ALLOWED, message=f"a mailing list takes no {what}")

    def _join(self, write: Write, *, is_again: bool = False) -> None:
        name = write.fields.get(mapping.DISPLAY_NAME) if write.kind is WriteKind.CREATE else None
        call = self._client.subscribe if write.status is Status.IN else self._client.invite
        typed = write.address or ""
        # The typed form is kept where Mailman takes it; it refuses domains that are not in ASCII.
        address = typed if typed.isascii() and mapping.record_id(typed) == _id(write) else _id(write)
        answer = call(self._list, address, name if isinstance(name, str) else None)
        if answer.status in (201, 202):
            self._joined(write, Status.IN if answer.status == 201 else Status.PENDING)
        elif answer.status == 409:
            self._meet(write, is_again=is_again)
        else:
            self._refuse(write, answer)

    def _meet(self, write: Write, *, is_again: bool) -> None:
        """The person is a member already, or is being asked."""
        shown = look_up(self._client, self._spec, [_id(write)]).get(_id(write))
        if shown is None:
            self._set(write, Result.FAILED, message="was there a moment ago and is not any more")
        elif write.kind is WriteKind.CREATE:
            self._set(write, Result.REFUSED, fact=Fact.EXISTS, record=shown, message="is on the list already")
        elif shown.status in (write.status, Status.IN):
            self._set(write, Result.SAME, record=shown)
        elif shown.status is Status.BOUNCED:
            message = "Mailman suspended delivery after bounces; only its administrators end that"
            self._set(write, Result.REFUSED, fact=Fact.UNDELIVERABLE, record=shown, message=message)
        elif write.status is Status.PENDING:
            message = "is a member with paused delivery: Mailman asks only people who are no members"
            self._set(write, Result.REFUSED, fact=Fact.EXISTS, record=shown, message=message)
        elif shown.status is Status.PENDING and not is_again:
            self._withdraw_requests(write, mapping.SUBSCRIPTION)
            self._join(write, is_again=True)
        else:
            self._resume(write, shown)

    def _withdraw_requests(self, write: Write, what: str) -> None:
        """A waiting request blocks every other subscription of the address, or ends the one there is."""
        for request in list(self._client.requests(self._list, what)):
            if mapping.record_id(str(request["email"])) == _id(write):
                self._client.discard(self._list, str(request["token"]))

    def _resume(self, write: Write, shown: Record) -> None:
        self._withdraw_requests(write, mapping.UNSUBSCRIPTION)
        for row in self._client.memberships(self._list, shown.id):
            answer = self._client.enable(str(row["member_id"]))
            if answer.status < 400:
                # Whatever becomes of the person's other membership, this one is not paused any more.
                self._set(write, Result.UNKNOWN, message="resumed on one of two memberships")
            elif answer.status != 404:
                if write.key not in self._outcomes:
                    self._refuse(write, answer)
                return
        if write.key not in self._outcomes:
            self._set(write, Result.FAILED, message="was there a moment ago and is not any more")
            return
        # First of all that it is done: the look-up that follows may fail.
        self._set(write, Result.APPLIED)
        if record := look_up(self._client, self._spec, [shown.id]).get(shown.id):
            self._set(write, Result.APPLIED, record=record)

    def _set_fields(self, write: Write) -> None:
        foreign = [field for field in write.fields if field != mapping.DISPLAY_NAME]
        name = write.fields.get(mapping.DISPLAY_NAME)
        if foreign:
            self._set(write, Result.INVALID, field=foreign[0], message="a mailing list has no such field")
        elif not isinstance(name, str) or not name:
            # An empty name of the address lets the name of Mailman's user show through.
            message = "Mailman cannot clear a name"
            self._set(write, Result.INVALID, field=mapping.DISPLAY_NAME, message=message)
        elif "/" in _id(write):
            message = "Mailman's REST interface reaches no address that holds a slash"
            self._set(write, Result.INVALID, field=mapping.DISPLAY_NAME, message=message)
        else:
            answer = self._client.set_display_name(_id(write), name)
            if answer.status < 400:
                self._set(write, Result.APPLIED)
            elif answer.status == 404:
                self._set(write, Result.REFUSED, fact=Fact.GONE, message="Mailman does not know the address")
            else:
                self._set(write, Result.INVALID, field=mapping.DISPLAY_NAME, message=describe(answer))

    def _refuse(self, write: Write, answer: Answer) -> None:
        message = describe(answer) or f"HTTP {answer.status}"
        if answer.status != 400:
            self._set(write, Result.FAILED, message=message)
            return
        result, fact, field = mapping.refusal(message)
        self._set(write, result, fact=fact, field=field, message=message)

    def _joined(self, write: Write, status: Status) -> None:
        record = Record(id=_id(write), addresses=(_id(write),), status=status)
        if write.kind is not WriteKind.CREATE:
            self._set(write, Result.APPLIED, record=record)
            return
        name = write.fields.get(mapping.DISPLAY_NAME)
        named = replace(record, fields=mapping.fields(name, self._spec.fields))
        if isinstance(name, str) and name and not self._is_named(write, name):
            # First of all that it is not known how they are shown: the look-up that follows may fail.
            self._set(write, Result.UNKNOWN, message="is on the list, under a name that nobody knows")
            named = look_up(self._client, self._spec, [record.id]).get(record.id, named)
        self._set(write, Result.APPLIED, record=named)

    def _is_named(self, write: Write, name: str) -> bool:
        """Mailman keeps the name of an address that it knows already, whatever comes with a subscription: taken for
        ours, an old one would pass for somebody's edit."""
        if "/" in _id(write):
            return False
        self._set(write, Result.UNKNOWN, message="is on the list, and may have an old name there")
        answer = self._client.set_display_name(_id(write), name)
        return answer.status < 400 or answer.status == 404  # who was invited may have no address there yet, and no name

    def _set(
        self,
        write: Write,
        result: Result,
        *,
        record: Record | None = None,
        fact: Fact | None = None,
        field: str | None = None,
        message: str = "",
    ) -> None:
        self._outcomes[write.key] = Outcome(
            key=write.key,
            result=result,
            record_id=_id(write),
            record=record,
            fact=fact,
            field=field,
            message=message,
        )


def _id(write: Write) -> str:
    """An address is all that names a person on a list."""
    return mapping.record_id(write.record or write.address or "")


def _batches(writes: Sequence[Write], size: int) -> Iterator[list[Write]]:
    rest = iter(writes)
    while batch := list(islice(rest, size)):
        yield batch
