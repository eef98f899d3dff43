"""Does every mail show the way out of it? A check of templates and drafts, before anybody is mailed."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any

from optsync.model.mailing import LinkTags, Mailing, MailText
from optsync.sync.visible_links import Sight, look_at

_WORDS = re.compile(
    r"unsub|opt[\s-]?out|abmeld|abbestell|austrag|d[ée]s(?:inscri|abonn)|darse de baja|cancel\w* (?:la )?(?:sub|sus)"
    r"|disiscri|annulla l.iscri|afmeld|uitschrijv|wypis|отпис|avregistrer|avsluta prenum|peru(?:uta)? tilaus",
    re.IGNORECASE,
)
_LEADS_NOWHERE = re.compile(r"\s*(?:#.*|javascript:.*|about:blank|https?://#?|)\s*", re.IGNORECASE)
_ALIKE = 0.6


class Flaw(StrEnum):
    """What keeps people from getting out."""

    MISSPELT_TAG = "misspelt_tag"
    DEAD_LINK = "dead_link"
    HIDDEN = "hidden"
    IN_COMMENT = "in_comment"
    NO_LINK = "no_link"
    OWN_LINK = "own_link"
    MISSING = "missing"


_FOUND = {
    Flaw.MISSPELT_TAG: "the tag {what} is not replaced by the platform; recipients see it as it is",
    Flaw.DEAD_LINK: "the link “{what}” leads nowhere: its address is empty or a placeholder",
    Flaw.HIDDEN: "the unsubscribe link is out of sight: a hidden element holds it, or there is nothing to click on",
    Flaw.IN_COMMENT: "the tag stands in an HTML comment, which nobody sees",
    Flaw.NO_LINK: "the tag stands in the text, where it becomes an address that cannot be clicked",
    Flaw.OWN_LINK: "the link “{what}” does not hold the platform's tag: the platform does not know it as a way out",
    Flaw.MISSING: "there is no unsubscribe link and no tag for one",
}
_ADVICE = {
    Flaw.MISSPELT_TAG: "write {tag}",
    Flaw.DEAD_LINK: "set its address to {tag}",
    Flaw.HIDDEN: "make it visible, with words to click on",
    Flaw.IN_COMMENT: "take it out of the comment, and close every comment that is open",
    Flaw.NO_LINK: 'make it a link: <a href="{tag}">Unsubscribe</a>',
    Flaw.OWN_LINK: "set its address to {tag}",
    Flaw.MISSING: 'add <a href="{tag}">Unsubscribe</a>',
}
_PLAIN_ADVICE = "write {tag} on a line of its own"
_NOT_WHOLE = "; the platform shows only the parts that can be edited, so look into the fixed ones too"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One flaw of one text of a mailing; ``found`` and ``advice`` are for people."""

    mailing: Mailing
    text: str
    flaw: Flaw
    found: str
    advice: str

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.mailing.kind,
            "id": self.mailing.id,
            "name": self.mailing.name,
            "text": self.text,
            "flaw": self.flaw,
            "found": self.found,
            "advice": self.advice,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """``unread``: mailings that show nothing to be judged by."""

    checked: int
    findings: tuple[Finding, ...]
    unread: tuple[Mailing, ...]


def audit(mailings: Iterable[Mailing]) -> Audit:
    """Looks for a working way out in every text of every mailing."""
    findings: list[Finding] = []
    unread: list[Mailing] = []
    checked = 0
    for mailing in mailings:
        checked += 1
        findings.extend(f for text in mailing.texts for f in judge(mailing, text))
        if not mailing.texts:
            unread.append(mailing)
    return Audit(checked=checked, findings=tuple(findings), unread=tuple(unread))


def judge(mailing: Mailing, text: MailText) -> Iterator[Finding]:
    """What is wrong with one text; nothing if it has one way out that works."""
    flaws = _in_html(text, mailing.tags) if text.is_html else _in_plain_text(text, mailing.tags)
    for flaw, what in flaws.items():
        advice = _PLAIN_ADVICE if flaw is Flaw.MISSING and not text.is_html else _ADVICE[flaw]
        is_in_doubt = flaw is Flaw.MISSING and not mailing.is_whole
        yield Finding(
            mailing=mailing,
            text=text.name,
            flaw=flaw,
            found=_FOUND[flaw].format(what=what),
            advice=advice.format(tag=mailing.tags.names[0]) + (_NOT_WHOLE if is_in_doubt else ""),
        )


def _in_plain_text(text: MailText, tags: LinkTags) -> dict[Flaw, str]:
    whole = "\n".join(text.fragments)
    if any(sign in whole for sign in tags.names):
        return {}
    misspelt = _misspelt([whole], tags)
    return {Flaw.MISSPELT_TAG: misspelt} if misspelt else {Flaw.MISSING: ""}


def _in_html(text: MailText, tags: LinkTags) -> dict[Flaw, str]:
    sight = look_at(text.fragments)
    leading = [link for link in sight.links if _holds([link.href], tags)]
    if any(not link.is_hidden and link.label.strip() for link in leading):
        return {}
    flaws: dict[Flaw, str] = {}
    if misspelt := _misspelt([*(link.href for link in sight.links), *sight.text], tags):
        flaws[Flaw.MISSPELT_TAG] = misspelt
    flaws |= _useless(sight, tags)
    if leading or _holds(sight.hidden, tags):
        flaws[Flaw.HIDDEN] = ""
    if _holds(sight.comments, tags):
        flaws[Flaw.IN_COMMENT] = ""
    if _holds(sight.text, tags):
        flaws[Flaw.NO_LINK] = ""
    return flaws or {Flaw.MISSING: ""}


def _useless(sight: Sight, tags: LinkTags) -> dict[Flaw, str]:
    """Links that promise the way out by their words and do not lead there."""
    flaws: dict[Flaw, str] = {}
    for link in sight.links:
        label = " ".join(link.label.split())
        if link.is_hidden or not _WORDS.search(label) or tags.opening in link.href:
            continue
        flaw = Flaw.DEAD_LINK if _LEADS_NOWHERE.fullmatch(link.href) else Flaw.OWN_LINK
        flaws.setdefault(flaw, label[:60])
    return flaws


def _holds(texts: Iterable[str], tags: LinkTags) -> bool:
    return any(name in text for text in texts for name in tags.names)


def _misspelt(texts: Iterable[str], tags: LinkTags) -> str:
    """The first tag that is like one for the link, and is none."""
    inside = re.compile(f"{re.escape(tags.opening)}\\s*([^|<>]{{1,40}}?)\\s*{re.escape(tags.closing)}")
    wanted = [name.removeprefix(tags.opening).removesuffix(tags.closing) for name in tags.names]
    for text in texts:
        for match in inside.finditer(text):
            if match[0] not in tags.names and any(_is_like(match[1], name) for name in wanted):
                return match[0]
    return ""


def _is_like(written: str, wanted: str) -> bool:
    one, other = written.casefold(), wanted.casefold()
    return one.startswith(other) or SequenceMatcher(None, one, other).ratio() > _ALIKE
