"""Bitrix24 as a connector: the contract, joined from its parts."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from optsync.connect.contract import Absence, Capabilities, CollectionInfo, Context, Health
from optsync.connect.http import Effect
from optsync.connect.settings import CrmSide, EspSide, SystemSettings
from optsync.model.change import Outcome, Write
from optsync.model.page import Page, ReadSpec
from optsync.model.record import Record, Side
from optsync_bitrix24.catalog import fields_command
from optsync_bitrix24.checking import check
from optsync_bitrix24.client import Client
from optsync_bitrix24.creating import Creator
from optsync_bitrix24.forgetting import forget
from optsync_bitrix24.listing import Listing
from optsync_bitrix24.looking_up import read_ids
from optsync_bitrix24.mapping import ENTITIES, field_infos
from optsync_bitrix24.reading import Reader
from optsync_bitrix24.settings import Bitrix24Settings
from optsync_bitrix24.writing import WRITE_BATCH, Outcomes, Updater, is_create, sorted_out

_DELTA_MISSES = (
    "deleted and merged records vanish without a trace in the delta",
    "imports and direct database changes may keep or set an old modification time",
    "records that the webhook's owner was given or lost the right to see",
    "a list scope that names a field of another record, as that one's change does not touch this record",
)


class Bitrix24:
    """A Bitrix24 portal behind an inbound webhook; contacts, leads and companies."""

    name: ClassVar[str] = "bitrix24"
    capabilities: ClassVar[Capabilities] = Capabilities(
        sides=frozenset({Side.CRM}),
        absence=Absence.DELETED,
        has_delta=True,
        delta_misses=_DELTA_MISSES,
        read_page=2500,
        reread_batch=2500,
        write_batch=WRITE_BATCH,
        joins_updates=True,
        write_shows_state=True,
        shows_words=False,
        entities=ENTITIES,
    )
    settings: ClassVar[type[SystemSettings]] = Bitrix24Settings
    crm_side: ClassVar[type[CrmSide] | None] = CrmSide
    esp_side: ClassVar[type[EspSide] | None] = None

    def __init__(self, settings: Bitrix24Settings, context: Context) -> None:
        self._account = settings.webhook.account
        self._client = Client(settings, context)
        self._listing = Listing(
            self._client,
            context.clock,
            system=context.system,
            include_converted=settings.include_converted_leads,
        )
        self._reader = Reader(self._listing)
        self._updater = Updater(self._listing, context.clock)
        self._creator = Creator(self._listing, context.clock)

    @property
    def calls(self) -> int:
        return self._client.calls

    @property
    def clock_offset(self) -> float | None:
        return self._client.clock_offset

    def check(self, specs: Sequence[ReadSpec]) -> Health:
        """One call. ``account_id`` is the host of the configured address: webhooks are not told the portal's id."""
        return check(self._listing, specs, account=self._account)

    def describe(self) -> Sequence[CollectionInfo]:
        """The three entities; the custom yes/no fields of each can be topics. One call."""
        reply = self._client.batch({entity: fields_command(entity) for entity in ENTITIES}, effect=Effect.READ)
        found = []
        for entity in ENTITIES:
            self._listing.catalog.learn(entity, reply.results.get(entity))
            fields = field_infos(self._listing.catalog.get(entity) or {})
            topics = tuple(one.name for one in fields if one.type == "boolean" and one.name.startswith("UF_"))
            found.append(CollectionInfo(id=entity, name=entity.capitalize(), fields=fields, topics=topics))
        return found

    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        """A page is what one batch of at most 2,500 rows settles. A delta without news is one call."""
        return (page.whole() for page in self._reader.read(spec, cursor))

    def read_rows(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        """See ``read``."""
        return self._reader.read(spec, cursor)

    def read_ids(self, spec: ReadSpec, ids: Sequence[str]) -> Sequence[Record]:
        """2,500 ids a call without list scopes; these are filled and take their share of the batch."""
        return read_ids(self._listing, spec, ids)

    def scan_ids(self, collection: str) -> Iterator[Sequence[str]]:
        """Ids only. Raises SystemUnavailable where the answers do not add up: absence is not guessed."""
        return self._reader.scan_ids(collection)

    def write(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        """What restricts goes first and alone. Raises only while nothing has been sent."""
        if not writes:
            return []
        outcomes = Outcomes(writes)
        jobs = sorted_out(writes, self._listing, spec, outcomes)
        self._updater.update([job for job in jobs if not is_create(job)], spec, outcomes)
        self._creator.create([job for job in jobs if is_create(job)], spec, outcomes)
        return outcomes.in_order()

    def rename(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        """Changes the primary address in place, by the id of its row; the record keeps its id."""
        return self.write(writes, spec)

    def seconds_for(self, collection: str, writes: int) -> float | None:
        """By the run time that the portal has left and grants, and what an update has cost it; no call."""
        return self._client.budget.seconds_for(f"crm.{collection}.update", writes)

    def forget(self, collection: str, record: str) -> Outcome:
        """To the recycle bin, which the portal empties by itself."""
        return forget(self._client, collection, record)

    def close(self) -> None:
        self._client.close()
