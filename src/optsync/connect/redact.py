"""Keeps secrets and addresses out of what people and log collectors read."""

import hashlib
import hmac
from collections.abc import Iterable

from optsync.model.masking import ADDRESS, mask_words


class Redactor:
    """Replaces known secrets by ``***`` and addresses by a short keyed hash; without a key they are masked, since
    whoever has a list of addresses can find out whose an unkeyed hash is."""

    def __init__(self, secrets: Iterable[str] = (), *, key: bytes = b"") -> None:
        self._secrets = sorted({s for s in secrets if len(s) >= 4}, key=len, reverse=True)
        self._key = key

    def knowing(self, *secrets: str) -> "Redactor":
        """Another one that knows these, too."""
        return Redactor((*self._secrets, *secrets), key=self._key)

    def secrets(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def all(self, text: str) -> str:
        """The text without secrets and addresses."""
        return ADDRESS.sub(lambda match: self.address(match[0]), self.secrets(text))

    def address(self, address: str) -> str:
        """A short stand-in for one address, the same as long as the key is: ``@3f2a9c1b``."""
        if not self._key:
            return mask_words(address)
        digest = hmac.new(self._key, address.strip().lower().encode(), hashlib.sha256).hexdigest()
        return f"@{digest[:8]}"
