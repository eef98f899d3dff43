"""The account: its audiences, its key, and the switches for what nobody could verify."""

import random
import string
from collections.abc import Mapping
from dataclasses import dataclass

from optsync.clock import Clock
from optsync_mailchimp.mocking.problems import not_found
from optsync_mailchimp.mocking.store import Audience, Campaign, Member, Template

_ID_LETTERS = string.digits + "abcdef"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """Points on which reports about the service differ. The defaults are the stricter behaviour."""

    language: str = "en"
    """Of the merge-field messages: en or de."""
    archived_in_default_listing: bool = False
    revives_after_own_opt_out: bool = False
    """Whether an archived contact who had opted out can be written back to subscribed."""
    archived_editable: bool = False
    """Whether fields of an archived contact can be written without a status."""
    bulk_needs_status: bool = False
    """Whether a bulk item without a status is an error for a contact that exists, too."""
    api_sign_up_in_feed: bool = True
    """Whether a subscription by the API leaves an item in the contact's activity, as one by a form does."""
    bulk_refusal_is_error: bool = True
    """Else a bulk item that compliance forbids is left out of the answer's errors and the contact unchanged."""
    cleaned_to_pending: bool = True
    subscribed_to_transactional: bool = True
    problem_type: bool = True
    """Whether problem documents have ``type``."""
    example_is_fake: bool = False
    """Whether addresses at example.com look fake, as they do at the live service."""
    misspelled_is_fake: bool = True
    """Whether ``.con`` and ``.vom`` look fake."""
    activity_shows_everybody: bool = True
    """Whether a campaign's e-mail activity lists recipients who did nothing (since the time asked for), too."""
    double_optin: bool = False
    """Shown by the audience; without effect on API writes."""


class Account:
    """Everything behind one login."""

    def __init__(self, clock: Clock, rng: random.Random, switches: Switches) -> None:
        self.clock = clock
        self.rng = rng
        self.switches = switches
        self.id = f"{rng.getrandbits(128):032x}"
        self.datacenter = "us6"
        self.api_key = f"{rng.getrandbits(128):032x}-{self.datacenter}"
        self.access_token = f"{rng.getrandbits(128):032x}"
        self.state = ""
        """Name of the problem that every call meets, empty when all is well."""
        self.throttled: set[str] = set()
        """Lower-cased addresses that signed up to many lists lately."""
        self.audiences: dict[str, Audience] = {}
        self.campaigns: dict[str, Campaign] = {}
        self.templates: dict[int, Template] = {}
        self._last_number = 400_000_000

    def now(self) -> int:
        """Unix seconds, whole."""
        return int(self.clock.now().timestamp())

    def number(self) -> int:
        """A new integer id."""
        self._last_number += 1
        return self._last_number

    def short_id(self) -> str:
        """Ten hexadecimal digits."""
        return "".join(self.rng.choices(_ID_LETTERS, k=10))

    def long_id(self) -> str:
        return f"{self.rng.getrandbits(128):032x}"

    def uuid(self) -> str:
        """A random one, by hand: ``uuid.UUID`` takes longer than the rest of many an answer."""
        text = self.long_id()
        variant = "89ab"[int(text[16], 16) % 4]
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"

    def audience(self, audience_id: str) -> Audience:
        try:
            return self.audiences[audience_id]
        except KeyError:
            raise not_found() from None

    def campaign(self, campaign_id: str) -> Campaign:
        try:
            return self.campaigns[campaign_id]
        except KeyError:
            raise not_found() from None

    def contact(self, audience_id: str, key: str) -> tuple[Audience, Member]:
        """By hash, address or contact id. Raises ``Problem`` 404 for unknown and permanently deleted ones."""
        audience = self.audience(audience_id)
        member = audience.find(key)
        if member is None:
            raise not_found()
        return audience, member


Params = Mapping[str, str]
"""The variable parts of a path."""
