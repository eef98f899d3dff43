"""The tests that every connector must pass, against its mock, a real server or a test account.

Needs pytest, which optsync itself does not: nothing outside this package imports it. See docs/connectors.md.
"""

import pytest

_CHECKS = (
    "asking",
    "batches",
    "calls",
    "changes",
    "contract",
    "crowds",
    "fields",
    "honesty",
    "losses",
    "powers",
    "reading",
    "refusals",
)

# Before the modules are imported: their asserts are to show values as those of a test file do.
pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in _CHECKS))

from optsync.connect.conformance.harness import Harness, Vendor  # noqa: E402
from optsync.connect.conformance.line import HttpLine, Line, Trouble  # noqa: E402
from optsync.connect.conformance.suite import ConnectorSuite  # noqa: E402

__all__ = ["ConnectorSuite", "Harness", "HttpLine", "Line", "Trouble", "Vendor"]
