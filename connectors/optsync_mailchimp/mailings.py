"""Templates, and campaigns that are not sent yet: what recipients will find in them."""

from collections.abc import Iterator, Mapping
from typing import Any

from optsync.errors import SystemUnavailable
from optsync.model.mailing import LinkTags, Mailing, MailingKind, MailText
from optsync_mailchimp.client import MailchimpClient

_PAGE = 1000
# Mailchimp, "The Unsubscribe Merge Tag": this one and no other becomes a link, as the address of a link or in text.
TAGS = LinkTags(names=("*|UNSUB|*",), opening="*|", closing="|*")
_UNSENT = ("save", "paused", "schedule")
_NOTHING_YET = "it has no content yet"
_NOT_SHOWN = "the API shows none of its parts; look at its footer in the editor"


class MailingReader:
    """Reads one account.

    Source: Mailchimp Marketing API 3.0, List templates, View default content, List campaigns, Get campaign content.
    """

    def __init__(self, client: MailchimpClient) -> None:
        self._client = client

    def read(self) -> Iterator[Mailing]:
        """See :meth:`optsync.connect.contract.CanListTemplates.templates`: own active templates, then drafts."""
        for row in self._rows("/templates", "templates", ("id", "name", "active"), {"type": "user"}):
            if row.get("active") is not False:
                yield self._template(str(row.get("id")), str(row.get("name") or ""))
        for status in _UNSENT:
            keys = ("id", "type", "settings.title", "settings.subject_line")
            for row in self._rows("/campaigns", "campaigns", keys, {"status": status}):
                yield self._campaign(row)

    def _template(self, key: str, name: str) -> Mailing:
        """Only the parts that can be edited are shown; the rest of a template's HTML is not."""
        body = self._body(f"/templates/{key}/default-content")
        sections = body.get("sections") if body is not None else None
        parts = tuple(str(p) for p in sections.values() if p) if isinstance(sections, dict) else ()
        texts = (MailText(name="html", fragments=parts),) if parts else ()
        return Mailing(
            id=key,
            name=name,
            kind=MailingKind.TEMPLATE,
            tags=TAGS,
            texts=texts,
            is_whole=False,
            reason="" if texts else _NOT_SHOWN,
        )

    def _campaign(self, row: Mapping[str, Any]) -> Mailing:
        key, shown = str(row.get("id")), row.get("settings")
        settings = shown if isinstance(shown, dict) else {}
        name = str(settings.get("title") or settings.get("subject_line") or "")
        texts = tuple(_texts(self._body(f"/campaigns/{key}/content") or {}))
        return Mailing(
            id=key,
            name=name,
            kind=MailingKind.CAMPAIGN,
            tags=TAGS,
            texts=texts,
            reason="" if texts else _NOTHING_YET,
        )

    def _rows(self, path: str, key: str, fields: tuple[str, ...], query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        seen = 0
        while True:
            names = ",".join([*(f"{key}.{name}" for name in fields), "total_items"])
            reply = self._client.get(path, {"fields": names, "count": _PAGE, "offset": seen, **query})
            rows, total = reply.body.get(key), reply.body.get("total_items")
            if not reply.is_ok or not isinstance(rows, list) or not isinstance(total, int):
                raise SystemUnavailable(
                    self._client.system, f"the {key} could not be listed (HTTP {reply.status}); nothing is concluded"
                )
            yield from (row for row in rows if isinstance(row, dict))
            seen += len(rows)
            if not rows or seen >= total:
                return

    def _body(self, path: str) -> Mapping[str, Any] | None:
        """None for what was deleted since it was listed."""
        reply = self._client.get(path)
        if reply.status == 404:
            return None
        if not reply.is_ok:
            raise SystemUnavailable(
                self._client.system, f"a content could not be read (HTTP {reply.status}); nothing is concluded"
            )
        return reply.body


def _texts(content: Mapping[str, Any]) -> Iterator[MailText]:
    """The versions of a campaign: HTML and plain text, and those of a test of variants."""
    variants = content.get("variate_contents")
    listed = [v for v in variants if isinstance(v, dict)] if isinstance(variants, list) else []
    for version in (content, *listed):
        label = str(version.get("content_label") or "")
        for key, is_html in (("html", True), ("plain_text", False)):
            text = version.get(key)
            if isinstance(text, str) and text.strip():
                yield MailText(name=f"{key} {label}".strip(), fragments=(text,), is_html=is_html)
