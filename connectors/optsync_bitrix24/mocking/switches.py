"""Where Bitrix24's documentation, source and portals disagree, a test chooses."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """Defaults are the documented cloud behaviour, or the less convenient one where nothing is documented."""

    user_id: int = 7
    """Owner of the inbound webhook."""
    secret: str = ""
    """Of the webhook; made from the random generator when empty."""
    access_token: str = ""
    """A valid OAuth token; none when empty."""
    scopes: tuple[str, ...] = ("crm", "user_brief")
    is_admin: bool = True
    is_https_required: bool = False
    wrong_secret_status: Literal[401, 403] = 401
    missing_scope_status: Literal[403, 401] = 403
    offset_minutes: int = 120
    """The portal's offset from UTC."""
    has_rate_limit: bool = True
    drain: float = 2.0
    """Requests per second that leave the bucket."""
    threshold: int = 50
    has_operating_limit: bool = True
    operating_budget: float = 480.0
    """Seconds per method and credential within ten minutes."""
    read_cost: float = 0.01
    write_cost: float = 0.03
    """Seconds of execution of one call, of a small portal. On a large one a page takes 0.07 and an update 0.4."""
    longest_request: float = 60.0
    """Seconds of execution, all commands of a batch together, after which the cloud cuts a request off."""
    operating_charge: Literal["inner", "batch"] = "inner"
    """Whose name pays for the commands of a batch."""
    shows_operating: bool = True
    """Whether the ``time`` block has its ``operating`` keys."""
    email_filter: Literal["exact", "prefix"] = "exact"
    past_the_end: Literal["first", "empty"] = "first"
    """What a classic list answers for a page beyond the end: the first page again, or nothing."""
    uncounted_total: Literal["classic", "always", "never"] = "classic"
    """Which lists answer ``total: 0`` to ``start=-1``; the others leave the key out."""
    booleans: Literal["text", "json"] = "text"
    """How classic answers show boolean custom fields: "1"/"0"/null, or true/false."""
    long_batch: Literal["commands", "request"] = "commands"
    """Whether more than 50 commands fail one by one or all together."""
    language: Literal["english", "other"] = "english"
    """Of the texts of refusals; codes are the same in all."""
    can_see: Callable[[str, int], bool] | None = None
    """The webhook owner's read permission, by entity and id."""
