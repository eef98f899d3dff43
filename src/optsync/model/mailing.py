"""Mailings in the making: templates and drafts, as far as the way out of them goes."""

from dataclasses import dataclass
from enum import StrEnum


class MailingKind(StrEnum):
    TEMPLATE = "template"
    CAMPAIGN = "campaign"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTags:
    """What a vendor replaces by the address of its unsubscribe page. ``names`` are the tags in full; ``opening`` and
    ``closing`` stand around every tag of the vendor, so that a misspelt one is recognised."""

    names: tuple[str, ...]
    opening: str
    closing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailText:
    """One version of a mail that a person may receive. ``fragments``: HTML, or plain text, in order; one of them has
    to hold the link."""

    name: str
    fragments: tuple[str, ...]
    is_html: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailing:
    """A template or a draft. Each of ``texts`` needs a way out. ``is_whole``: the texts are all there is; the vendor
    does not show fixed parts of some. Without ``texts``, ``reason`` says why there are none."""

    id: str
    name: str
    kind: MailingKind
    tags: LinkTags
    texts: tuple[MailText, ...] = ()
    is_whole: bool = True
    reason: str = ""
