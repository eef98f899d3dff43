"""Bitrix24 passes the kit against its mock."""

import pytest

from optsync.connect.conformance import ConnectorSuite, Harness
from optsync_bitrix24 import Bitrix24
from optsync_bitrix24.mock import Bitrix24Mock


class TestBitrix24(ConnectorSuite):
    @pytest.fixture
    def harness(self) -> Harness:
        return Harness.of_mock(
            Bitrix24,
            Bitrix24Mock,
            refused={"webhook_url": "http://127.0.0.1/vendor/rest/7/0123456789abcdef/"},
            pages={"optsync_bitrix24.reading.BATCH": 3},
            switches={"language": "other"},
            crowd=330,
            missing="UF_CRM_NO_SUCH_9",
        )
