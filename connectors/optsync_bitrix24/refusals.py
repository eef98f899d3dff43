"""What the REST API's error codes mean for us.

Codes first, statuses second; texts last and only the English ones, since portals answer in their own language
(Bitrix24 REST documentation, system errors and the error tables of the crm methods; checked August 2026).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

RATE = "QUERY_LIMIT_EXCEEDED"
OPERATING = "OPERATION_TIME_LIMIT"
OVERLOAD = "OVERLOAD_LIMIT"
BROKEN = frozenset({"INTERNAL_SERVER_ERROR", "ERROR_UNEXPECTED_ANSWER"})
STOPPED: Mapping[str, str] = {
    OVERLOAD: "Bitrix24's support has blocked REST for this portal because of overload; ask them to lift it",
    "PORTAL_DELETED": "the portal was deleted or closed; remove it from the configuration",
    "ERROR_METHOD_NOT_FOUND": "the portal does not know a method that is needed; update a self-hosted portal",
    "ERROR_BATCH_METHOD_NOT_ALLOWED": "the portal refuses a method inside a batch",
    "ERROR_BATCH_LENGTH_EXCEEDED": "the portal refuses a batch of this length",
}
_NEW_WEBHOOK = "make a new inbound webhook and put its address into the configuration"
CREDENTIALS: Mapping[str, str] = {
    "INVALID_CREDENTIALS": f"the webhook is unknown to the portal (changed, expired or removed); {_NEW_WEBHOOK}",
    "NO_AUTH_FOUND": f"the webhook address is incomplete; {_NEW_WEBHOOK}",
    "INSUFFICIENT_SCOPE": "the webhook lacks a permission; tick CRM (crm) in the webhook's settings",
    "AUTHORIZATION_ERROR": f"the webhook's owner is no longer an active employee; {_NEW_WEBHOOK}",
    "EXPIRED_TOKEN": f"the credential has expired; {_NEW_WEBHOOK}",
    "INVALID_TOKEN": f"the credential is not valid; {_NEW_WEBHOOK}",
    "ERROR_OAUTH": f"the credential belongs to an application that is not installed; {_NEW_WEBHOOK}",
    "APPLICATION_NOT_FOUND": f"the credential belongs to an unknown application; {_NEW_WEBHOOK}",
    "PAYMENT_REQUIRED": "the subscription has ended; renew it",
    "ACCESS_DENIED": "REST is closed to this webhook: it needs a commercial plan and an account with CRM rights",
    "USER_ACCESS_ERROR": "the webhook's owner has no access",
    "AUTHORIZE_ERROR": "the webhook's owner has no access",
    "METHOD_CONFIRM_WAITING": "an administrator must confirm the method in the portal first",
    "METHOD_CONFIRM_DENIED": "an administrator has denied the method in the portal",
    "ALLOWED_ONLY_INTRANET_USER": "the webhook's owner must be an employee, not an external user",
    "WRONG_AUTH_TYPE": "a webhook may not call a method that is needed",
    "WRONG_LICENSE": "the portal's plan does not contain what is needed",
}

_GONE_TEXT = re.compile(r"^(?:(?:contact|lead|company|item|element|entity) )?(?:is )?not found\.?$")
_QUOTED = re.compile(r"[\"«“'`]([^\"»”'`]+)[\"»”'`]")


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorError:
    """``error`` and ``error_description`` of an answer or of one command. ``code`` may be empty."""

    code: str
    text: str

    @property
    def is_operating(self) -> bool:
        return self.code.upper() == OPERATING

    def __str__(self) -> str:
        return f"{self.code}: {self.text}" if self.code and self.text else self.code or self.text or "no reason given"


class Meaning(StrEnum):
    """What an error of a single command says."""

    BUSY = "busy"
    """A limit; it was not carried out."""
    BROKEN = "broken"
    """A fault of the portal; it may have been carried out."""
    GONE = "gone"
    DENIED = "denied"
    INVALID = "invalid"
    OTHER = "other"


def error_of(body: Any) -> VendorError | None:
    """The error an answer holds: the key counts, as its value may be empty or the number 0."""
    if not isinstance(body, dict) or "error" not in body:
        return None
    code, text = body["error"], body.get("error_description", "")
    if isinstance(code, dict):
        code, text = code.get("code", ""), code.get("message", text)
    return VendorError(code=str(code), text=str(text or ""))


def meaning(error: VendorError) -> Meaning:
    """Of an error of one command inside a batch, or of one call about one record."""
    code = error.code.upper()
    text = error.text.strip().lower()
    if code in (RATE, OPERATING, OVERLOAD):
        return Meaning.BUSY
    if code in BROKEN or (code == "ERROR_CORE" and text.startswith("sql query error")):
        return Meaning.BROKEN
    if code in ("NOT_FOUND", "ERROR_NOT_FOUND") or (code in ("", "0", "ERROR_CORE") and _GONE_TEXT.match(text)):
        return Meaning.GONE
    if code in CREDENTIALS or text.startswith("access denied"):
        return Meaning.DENIED
    if code in ("ERROR_CORE", "100", "ERROR_ARGUMENT", "INVALID_ARG_VALUE") or code.startswith("CRM_FIELD_ERROR_"):
        return Meaning.INVALID
    return Meaning.OTHER


def field_named_in(text: str, labels: Mapping[str, str]) -> str | None:
    """The field that a refusal names by code or by label (``labels``: code -> label), in quotes or bare."""
    by_label = {label.strip().lower(): code for code, label in labels.items()}
    for quoted in _QUOTED.findall(text):
        word = quoted.strip()
        if word.upper() in labels:
            return str(word.upper())
        if word.lower() in by_label:
            return by_label[word.lower()]
    words = set(re.findall(r"[A-Z][A-Z0-9_]+", text))
    return next((code for code in labels if code in words), None)
