"""What a configuration says about a Mailchimp account."""

import re
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, SecretStr, field_validator

from optsync.connect.http import is_loopback
from optsync.connect.settings import SystemSettings

_KEY = re.compile(r"[0-9a-f]{32}-us\d+")
_API_PATH = "/3.0"


class MailchimpSettings(SystemSettings):
    """One Mailchimp account. The key has no scopes: it may do whatever the user who made it may do."""

    # An error message about a mistyped key would otherwise show it.
    model_config = ConfigDict(hide_input_in_errors=True)

    api_key: SecretStr = Field(description="Marketing API key: 32 hexadecimal digits, a dash, the data centre (us6).")
    base_url: str | None = Field(
        default=None,
        description="Overrides the endpoint that follows from the key; https, or plain http on a loopback address.",
    )

    @field_validator("api_key")
    @classmethod
    def _has_the_form_of_a_key(cls, key: SecretStr) -> SecretStr:
        if not _KEY.fullmatch(key.get_secret_value()):
            raise ValueError("expected 32 hexadecimal digits, a dash and the data centre, as in …-us6")
        return key

    @field_validator("base_url")
    @classmethod
    def _is_encrypted_or_local(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("expected scheme, host and path only; the key belongs in api_key")
        if parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))):
            return url
        raise ValueError("expected an https:// address (http:// only on a loopback address)")

    @property
    def endpoint(self) -> str:
        """The API's root, without a slash at the end and with its version."""
        data_centre = self.api_key.get_secret_value().rpartition("-")[2]
        url = (self.base_url or f"https://{data_centre}.api.mailchimp.com").rstrip("/")
        return url if url.endswith(_API_PATH) else url + _API_PATH
