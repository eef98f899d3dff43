import pytest
from pydantic import ValidationError

from optsync_mailman3.settings import MailmanSettings


def _settings(base_url: str) -> MailmanSettings:
    return MailmanSettings.model_validate({"connector": "mailman3", "base_url": base_url, "password": "opensesame"})


@pytest.mark.parametrize(
    ("typed", "used"),
    [
        ("http://127.0.0.1:8001", "http://127.0.0.1:8001/3.1"),
        ("http://localhost:8001/3.1/", "http://localhost:8001/3.1"),
        ("https://lists.example.org/api", "https://lists.example.org/api/3.1"),
    ],
)
def test_the_version_is_added_to_the_address(typed: str, used: str) -> None:
    assert _settings(typed).base_url == used


@pytest.mark.parametrize(
    "unsafe",
    [
        "http://lists.example.org/3.1",
        "https://restadmin:pw@lists.example.org/3.1",
        "ftp://127.0.0.1/3.1",
        "lists.example.org",
        "https://lists.example.org/3.0",
        "https://lists.example.org/3.1?x=1",
    ],
)
def test_an_address_that_would_leak_the_password_or_speaks_another_version_is_refused(unsafe: str) -> None:
    with pytest.raises(ValidationError):
        _settings(unsafe)


def test_the_password_is_in_no_text_of_the_settings() -> None:
    assert "opensesame" not in repr(_settings("http://127.0.0.1:8001"))
