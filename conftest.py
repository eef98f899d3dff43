"""For all tests: how hard Hypothesis tries, and an environment without the settings of the person who runs them."""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

_PRODUCT_VARIABLES = ("OPTSYNC_", "BITRIX24_", "MAILCHIMP_", "MAILMAN_")
_OF_THE_TESTS = "OPTSYNC_TEST_"  # where a test database is, for instance

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile(
    "ci", max_examples=200, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("deterministic", max_examples=200, deadline=None, derandomize=True, database=None)
settings.register_profile(
    "mutants", max_examples=25, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: in the end no process is left alone with one."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _neutral_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's account, secret or proxy reaches a test by accident."""
    for name in list(os.environ):
        is_product = name.startswith(_PRODUCT_VARIABLES) and not name.startswith(_OF_THE_TESTS)
        if is_product or name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.delenv(name)
