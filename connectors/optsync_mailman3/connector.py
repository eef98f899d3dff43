"""The connector: a mailing list as an audience, a membership as a subscription."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

from optsync.connect.contract import (
    Absence,
    Capabilities,
    CollectionInfo,
    Context,
    Health,
    OptInStamp,
    Problem,
    Severity,
)
from optsync.connect.settings import CrmSide, EspSide, SystemSettings
from optsync.model.change import Fact, Outcome, Write
from optsync.model.page import Page, ReadSpec
from optsync.model.record import Record, Side, Status
from optsync_mailman3 import mapping
from optsync_mailman3.client import PAGE, MailmanClient
from optsync_mailman3.reading import Reader, look_up
from optsync_mailman3.settings import MailmanSettings
from optsync_mailman3.writing import BATCH, Writer


class Mailman3:
    """One Mailman installation; a collection is a list, by its list_id (``news.lists.example``)."""

    name: ClassVar[str] = "mailman3"
    capabilities: ClassVar[Capabilities] = Capabilities(
        sides=frozenset({Side.ESP}),
        statuses=frozenset({Status.IN, Status.OUT, Status.PENDING}),
        absence=Absence.LEFT,
        has_delta=False,
        delta_misses=("Mailman keeps no times of change: there is no delta, every read is a full one.",),
        read_page=PAGE,
        write_batch=BATCH,
        write_shows_state=False,
        opt_in_stamp=OptInStamp.NONE,
        can_ask=True,
        takes_back_leavers=True,
        refuses=frozenset({Fact.BANNED, Fact.UNDELIVERABLE}),
        shows_words=False,
        id_is_address=True,
        pages_shift=True,
    )
    settings: ClassVar[type[SystemSettings]] = MailmanSettings
    crm_side: ClassVar[type[CrmSide] | None] = None
    esp_side: ClassVar[type[EspSide] | None] = EspSide

    def __init__(self, settings: MailmanSettings, context: Context) -> None:
        self._url = settings.base_url
        self._client = MailmanClient(settings, context)

    @property
    def calls(self) -> int:
        """HTTP requests sent so far, retries included."""
        return self._client.session.calls

    @property
    def clock_offset(self) -> float | None:
        """Mailman's clock minus ours in seconds, from the newest answer; None before the first."""
        return self._client.session.clock_offset

    def check(self, specs: Sequence[ReadSpec]) -> Health:
        """See the contract. The account is the REST address and the site's owner together."""
        versions = self._client.versions()
        owner = self._client.site_owner()
        place = urlsplit(self._url).netloc
        problems = [problem for spec in specs for problem in self._problems(spec)]
        return Health(
            account_id=f"{place} {owner}".strip(),
            account_name=f"{versions.get('mailman_version', 'Mailman')} at {place}",
            clock_offset=self.clock_offset,
            problems=tuple(problems),
        )

    def describe(self) -> Sequence[CollectionInfo]:
        """The lists of the installation."""
        return [
            CollectionInfo(
                id=str(each["list_id"]),
                name=f"{each.get('display_name') or each['list_id']} <{each.get('fqdn_listname', '')}>",
                fields=mapping.FIELDS,
            )
            for each in self._client.lists()
        ]

    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        """See the contract. The last page's cursor is None: the next read is a full one."""
        yield from Reader(self._client, spec, cursor).pages()

    def read_ids(self, spec: ReadSpec, ids: Sequence[str]) -> Sequence[Record]:
        """See the contract. Ids are addresses in lower case."""
        return list(look_up(self._client, spec, ids).values())

    def write(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        """See the contract. OUT ends the membership, IN subscribes or ends a pause without any mail, PENDING sends
        an invitation."""
        return Writer(self._client, spec).all(writes)

    def close(self) -> None:
        """Gives the connections back."""
        self._client.session.close()

    def _problems(self, spec: ReadSpec) -> Iterator[Problem]:
        list_id = self._client.list_id(spec.collection)
        if list_id != spec.collection:
            # Some calls take the posting address as well; searches would silently find nobody by it.
            advice = f"its list_id is {list_id}" if list_id else "`optsync fields` shows the lists"
            message = f"there is no list with the list_id {spec.collection}; {advice}"
            yield Problem(severity=Severity.ERROR, message=message)
            return
        for field in sorted(spec.fields - {mapping.DISPLAY_NAME}):
            message = f"a mailing list has only the field {mapping.DISPLAY_NAME}"
            yield Problem(severity=Severity.ERROR, message=message, field=field)
        for topic in sorted(spec.topics):
            message = "a mailing list has no topics; give each list a sync whose scope is the topic"
            yield Problem(severity=Severity.ERROR, message=message, field=topic)
        yield from _mail_warnings(list_id, self._client.config(list_id))


def _mail_warnings(list_id: str, config: Mapping[str, Any]) -> Iterator[Problem]:
    if config.get("send_goodbye_message"):
        message = f"{list_id} mails a goodbye to everybody who is unsubscribed; set its send_goodbye_message to false"
        yield Problem(severity=Severity.WARNING, message=message)
    if config.get("unsubscription_policy") in ("moderate", "confirm_then_moderate"):
        message = f"{list_id} goes on mailing people who left until a moderator agrees; set its unsubscription_policy"
        yield Problem(severity=Severity.WARNING, message=f"{message} to confirm")
    if config.get("send_welcome_message"):
        message = f"{list_id} mails a welcome to people who confirm an invitation; send_welcome_message turns it off"
        yield Problem(severity=Severity.WARNING, message=message)
    if config.get("admin_notify_mchanges"):
        message = f"{list_id} mails its owners about every change; set its admin_notify_mchanges to false"
        yield Problem(severity=Severity.WARNING, message=message)
