"""The kit against a real GNU Mailman 3."""

from collections.abc import Callable

import pytest
from requests.adapters import HTTPAdapter

from optsync.connect.conformance import ConnectorSuite, Exempt, Harness
from optsync.model.change import Fact
from optsync.model.record import Side, Status
from optsync_mailman3 import Mailman3
from tests.real.mailman_hands import MailmanHands
from tests.real.mailman_server import MailmanServer

pytestmark = pytest.mark.real

_PAGE_SIZES = [
    f"optsync_mailman3.{module}.{name}" for module in ("client", "reading") for name in ("PAGE", "SEARCH_PAGE")
]


def _act(action: str) -> Callable[[Harness, str], object]:
    return lambda harness, email: harness.vendor.act(action, email=email)


class TestMailman(ConnectorSuite):
    @pytest.fixture
    def harness(self, mailman: MailmanServer) -> Harness:
        hands = MailmanHands(mailman)
        return Harness(
            connector=Mailman3,
            vendor=hands,
            side=Side.ESP,
            config=hands.config(),
            transport=HTTPAdapter(),
            refused={"password": "not-the-password"},
            pages=dict.fromkeys([*_PAGE_SIZES, "optsync_mailman3.writing.BATCH"], 8),
            crowd=30,
            many=30,
            statuses=frozenset({Status.IN, Status.OUT, Status.BOUNCED, Status.PENDING}),
            refuses={Fact.UNDELIVERABLE: _act("bounce"), Fact.BANNED: _act("ban")},
            takes=lambda address: "|" not in address,
            names_reach=lambda address: "/" not in address,
            exempt=Exempt(
                clearing_a_field="an empty name lets the name of Mailman's user show through",
                topics="a mailing list has no topics; each is a list of its own",
                changing_an_address="the id is the address: another address is another member",
                unknown_words="the delivery status is searched for by word and shown by no other call",
                skewed_clocks="Mailman keeps no times of change that a clock could be compared with",
                paging_while_people_leave="pages are numbered rows of a live table, which shift when somebody leaves",
                deleting="a member who was deleted is one who left",
            ),
        )
