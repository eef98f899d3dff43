"""What a ``systems:`` entry of Bitrix24 says."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, SecretStr, field_validator

from optsync.connect.http import is_loopback
from optsync.connect.settings import SystemSettings

_PATH = re.compile(r"^(?P<mount>(?:/[^/]+)*)/rest/(?P<user>[^/]+)/(?P<secret>[^/]+)/?$")
# The portal shows the webhook with an example method behind it, and people copy it so.
_EXAMPLE = re.compile(r"/[a-z]+(?:\.[a-z]+)*(?:\.json|\.xml)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An inbound webhook's address, taken apart. Its secret is part of the path."""

    scheme: str
    netloc: str
    mount: str
    user: str
    secret: str

    @property
    def base_url(self) -> str:
        return self.base_on(self.netloc)

    def base_on(self, netloc: str) -> str:
        """The same webhook on another host: a portal that was renamed."""
        return f"{self.scheme}://{netloc}{self.mount}/rest/{self.user}/{self.secret}"

    @property
    def account(self) -> str:
        """The portal's host name; webhooks are not told the portal's ``member_id``."""
        return f"{urlsplit(f'//{self.netloc}').hostname}{self.mount}"


class Bitrix24Settings(SystemSettings):
    """Access through an inbound webhook."""

    model_config = ConfigDict(hide_input_in_errors=True)

    webhook_url: SecretStr = Field(
        description="The inbound webhook: https://PORTAL/rest/USER/SECRET/. Whoever has it has the account's rights."
    )
    requests_per_second: float = Field(default=2.0, gt=0, le=50, description="2; Enterprise portals allow 5.")
    burst: int = Field(default=40, ge=1, le=250, description="Requests at once after a rest; the portal allows 50.")
    operating_limit: float = Field(
        default=480.0, gt=0, description="Seconds of run time that the portal grants one method in ten minutes."
    )
    include_converted_leads: bool = Field(
        default=True, description="Whether leads that became a contact still count; their address may be mailed too."
    )

    @field_validator("webhook_url")
    @classmethod
    def _is_a_webhook(cls, value: SecretStr) -> SecretStr:
        webhook_of(value)
        return value

    @property
    def webhook(self) -> Webhook:
        return webhook_of(self.webhook_url)


def webhook_of(url: SecretStr) -> Webhook:
    """The parts of a webhook address.

    Raises:
        ValueError: it is none, or not https; the message does not repeat it.
    """
    parts = urlsplit(url.get_secret_value().strip())
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("the webhook address must begin with https:// (http:// is for loopback hosts only)")
    found = _PATH.match(parts.path) or _PATH.match(_EXAMPLE.sub("/", parts.path))
    if not found or not parts.hostname or parts.query:
        raise ValueError("expected https://PORTAL/rest/USER/SECRET/, as the portal shows it for an inbound webhook")
    return Webhook(
        scheme=parts.scheme,
        netloc=parts.netloc.rpartition("@")[2],
        mount=found["mount"],
        user=found["user"],
        secret=found["secret"],
    )
