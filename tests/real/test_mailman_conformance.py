"""The kit against a real GNU Mailman 3."""

from collections.abc import Callable

import pytest
from requests.adapters import HTTPAdapter

from optsync.connect.conformance import ConnectorSuite, Harness, HttpLine
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
            line=HttpLine(HTTPAdapter(), hands.is_write),
            refused={"password": "not-the-password"},
            pages=dict.fromkeys([*_PAGE_SIZES, "optsync_mailman3.writing.BATCH"], 8),
            crowd=26,
            many=9,
            statuses=frozenset({Status.IN, Status.OUT, Status.BOUNCED, Status.PENDING}),
            refuses={Fact.UNDELIVERABLE: _act("bounce"), Fact.BANNED: _act("ban")},
            takes=lambda address: "|" not in address,
            names_reach=lambda address: "/" not in address,
        )
