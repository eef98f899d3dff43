"""What a configuration says about a Mailman installation."""

from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from optsync.connect.http import is_loopback
from optsync.connect.settings import SystemSettings

_VERSION = "3.1"


class MailmanSettings(SystemSettings):
    """A ``systems:`` entry with ``connector: mailman3``."""

    base_url: str = Field(
        default=f"http://127.0.0.1:8001/{_VERSION}",
        description="Address of Mailman's REST interface; https, or http on this machine.",
    )
    user: str = Field(default="restadmin", description="`admin_user` in Mailman's section [webservice].")
    password: SecretStr = Field(description="`admin_pass` in Mailman's section [webservice].")

    @field_validator("base_url")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        parts = urlsplit(value.rstrip("/"))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("an address such as https://lists.example.org/3.1")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ValueError("https, since the password travels with every request; http is for loopback only")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("an address without credentials and without ? and #")
        last = parts.path.rpartition("/")[2]
        if last[:2] == "3." and last != _VERSION:
            raise ValueError(f"version {_VERSION} of the REST interface")
        return parts.geturl() if last == _VERSION else f"{parts.geturl()}/{_VERSION}"
