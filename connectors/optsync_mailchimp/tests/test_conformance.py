"""Mailchimp passes the kit against its mock."""

import pytest

from optsync.connect.conformance import ConnectorSuite, Harness
from optsync.model.change import Fact
from optsync.model.record import Status
from optsync_mailchimp import Mailchimp
from optsync_mailchimp.mock import MailchimpMock


def _act(action: str) -> object:
    return lambda harness, email: harness.vendor.act(action, email=email)


class TestMailchimp(ConnectorSuite):
    @pytest.fixture
    def harness(self) -> Harness:
        return Harness.of_mock(
            Mailchimp,
            MailchimpMock,
            refused={"api_key": f"{'0' * 32}-us6"},
            pages={"optsync_mailchimp.reading.PAGE_SIZE": 7},
            crowd=30,
            statuses=frozenset(Status) - {Status.ABSENT},
            refuses={
                Fact.SELF_UNSUBSCRIBED: _act("unsubscribe"),
                Fact.FORGOTTEN: _act("forget"),
                Fact.UNDELIVERABLE: _act("bounce"),
            },
            strange_word=("cleaned", "embalmed"),
        )
