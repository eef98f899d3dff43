"""Mailchimp as optsync sees it: client, mapping, reading and writing joined to the connector contract."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from optsync.connect.contract import (
    Absence,
    Capabilities,
    CollectionInfo,
    Context,
    Departures,
    Health,
    OptInStamp,
    SignUp,
)
from optsync.connect.settings import CrmSide, EspSide, SystemSettings
from optsync.model.change import Fact, Outcome, Write
from optsync.model.mailing import Mailing
from optsync.model.page import Page, ReadSpec
from optsync.model.record import Record, Side, Status
from optsync.model.sign import SignPage
from optsync_mailchimp.activity import confirm_opt_in
from optsync_mailchimp.bulk import LARGEST
from optsync_mailchimp.checking import Checker
from optsync_mailchimp.client import MailchimpClient
from optsync_mailchimp.complaints import Complaints
from optsync_mailchimp.departing import Departing
from optsync_mailchimp.forgetting import forget
from optsync_mailchimp.mailings import MailingReader
from optsync_mailchimp.mapping import MailchimpSide
from optsync_mailchimp.moving import Mover
from optsync_mailchimp.reading import PAGE_SIZE, Reader
from optsync_mailchimp.schema import Schemas
from optsync_mailchimp.settings import MailchimpSettings
from optsync_mailchimp.signs import SignReader
from optsync_mailchimp.single import SingleWriter
from optsync_mailchimp.tagging import Tagger
from optsync_mailchimp.writing import Writer


class Mailchimp:
    """One Mailchimp account. A collection is an audience, a record a member, its id the ``contact_id``."""

    name: ClassVar[str] = "mailchimp"
    settings: ClassVar[type[SystemSettings]] = MailchimpSettings
    crm_side: ClassVar[type[CrmSide] | None] = None
    esp_side: ClassVar[type[EspSide] | None] = MailchimpSide
    capabilities: ClassVar[Capabilities] = Capabilities(
        sides=frozenset({Side.ESP}),
        statuses=frozenset({Status.IN, Status.OUT, Status.PENDING}),
        absence=Absence.DELETED,
        has_delta=True,
        delta_misses=(
            "A permanently deleted contact vanishes without a trace.",
            "A deleted or redefined merge field or group empties values without moving a contact's last change.",
            "That ticking a group moves the last change is expected and not promised.",
        ),
        read_page=PAGE_SIZE,
        delta_calls=3,
        write_batch=LARGEST,
        write_shows_state=True,
        opt_in_stamp=OptInStamp.NOMINATES,
        can_ask=True,
        refuses=frozenset({Fact.SELF_UNSUBSCRIBED, Fact.FORGOTTEN, Fact.UNDELIVERABLE}),
    )

    def __init__(self, settings: MailchimpSettings, context: Context) -> None:
        self._client = MailchimpClient(settings, context)
        self._schemas = Schemas(self._client, context.clock)
        self._complaints = Complaints(self._client)
        self._reader = Reader(self._client, self._schemas, self._complaints)
        single = SingleWriter(self._client, self._reader, context.clock)
        self._writer = Writer(self._client, self._schemas, self._reader, single)
        self._tagger = Tagger(self._client, single)
        self._mover = Mover(self._client, self._schemas, self._reader, single)
        self._checker = Checker(self._client, self._schemas)
        self._signs = SignReader(self._client)
        self._mailings = MailingReader(self._client)
        self._departing = Departing(self._client)

    @property
    def calls(self) -> int:
        """HTTP requests sent so far, retries included."""
        return self._client.calls

    @property
    def clock_offset(self) -> float | None:
        """The vendor's clock minus ours in seconds."""
        return self._client.clock_offset

    def check(self, specs: Sequence[ReadSpec]) -> Health:
        return self._checker.check(specs)

    def describe(self) -> Sequence[CollectionInfo]:
        return self._checker.describe()

    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        return (page.whole() for page in self._reader.read(spec, cursor))

    def read_rows(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        return self._reader.read(spec, cursor)

    def read_ids(self, spec: ReadSpec, ids: Sequence[str]) -> Sequence[Record]:
        return self._reader.read_ids(spec, ids)

    def write(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        return self._complaints.mark_outcomes(spec.collection, self._writer.write(writes, spec))

    def archive(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        return self._complaints.mark_outcomes(spec.collection, self._mover.archive(writes, spec))

    def rename(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        return self._complaints.mark_outcomes(spec.collection, self._mover.rename(writes, spec))

    def tag(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        return self._tagger.tag(writes, spec)

    def confirm_opt_in(self, collection: str, record: str, since: datetime) -> SignUp | None:
        return confirm_opt_in(self._client, collection, record, since)

    def departures(self, collection: str, asked: Mapping[str, datetime | None], ticket: str | None) -> Departures:
        return self._departing.departures(collection, asked, ticket)

    def activity(self, collection: str, cursor: str | None, since: datetime) -> Iterator[SignPage]:
        return self._signs.read(collection, cursor, since)

    def templates(self) -> Iterator[Mailing]:
        return self._mailings.read()

    def forget(self, collection: str, record: str) -> Outcome:
        """Permanent deletion; the address can only come back by a sign-up form."""
        return forget(self._client, self._reader, collection, record)

    def close(self) -> None:
        self._client.close()
