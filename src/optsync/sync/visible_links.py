"""Reading the HTML of a mail as its recipient does: which links there are, and what is out of sight."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

_OPEN_COMMENT = re.compile(r"<!--(?:(?!-->).)*\Z", re.DOTALL)
_HIDING = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|opacity\s*:\s*0(?![.\d]*[1-9])"
    r"|max-height\s*:\s*0(?![.\d]*[1-9])|mso-hide\s*:\s*all",
    re.IGNORECASE,
)
_SIZE = re.compile(r"font-size\s*:\s*([^;]+)", re.IGNORECASE)
_NO_SIZE = re.compile(r"0(?![.\d]*[1-9])")
_RELATIVE_SIZE = re.compile(r"[\d.]+(?:em|ex|ch|%)|smaller|larger|inherit|unset", re.IGNORECASE)
"""Nothing of it is left where the text around has no size."""
_NEVER_SHOWN = frozenset({"head", "title", "style", "script", "template", "noscript"})
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)


@dataclass(slots=True)
class Link:
    """``label`` is what there is to click on; a picture counts by its description, or as such."""

    href: str
    is_hidden: bool
    label: str = ""


@dataclass(slots=True)
class Sight:
    """What was found in the fragments of one text: ``hidden`` and ``comments`` are out of sight."""

    links: list[Link] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)


def look_at(fragments: tuple[str, ...]) -> Sight:
    """The fragments of one HTML text, read one after the other."""
    sight = Sight()
    for fragment in fragments:
        unclosed = _OPEN_COMMENT.search(fragment)
        if unclosed:
            # Nothing behind a comment that is not closed is shown, or found by the vendor.
            sight.comments.append(unclosed[0])
        reader = _Reader(sight)
        reader.feed(fragment[: unclosed.start()] if unclosed else fragment)
        reader.close()
    return sight


class _Reader(HTMLParser):
    def __init__(self, sight: Sight) -> None:
        super().__init__(convert_charrefs=True)
        self._sight = sight
        self._open: list[tuple[str, bool, bool]] = []
        """The elements that stand open; whether each is hidden, by itself or by one around it; and whether its text has
        no size, which hides no picture in it and no text that has a size of its own."""
        self._link: Link | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        is_hidden = self._is_hidden or tag in _NEVER_SHOWN or _hides(named, {name for name, _ in attrs})
        if tag in {"a", "area"}:
            link = Link(href=named.get("href", "").strip(), is_hidden=is_hidden, label=named.get("alt", ""))
            self._sight.links.append(link)
            self._link = link if tag == "a" else self._link
        elif tag == "img" and self._link is not None and not is_hidden:
            self._link.label += named.get("alt") or "picture"
        if tag not in _VOID:
            has_no_size = _has_no_size(named.get("style", ""), around=bool(self._open) and self._open[-1][2])
            self._open.append((tag, is_hidden, has_no_size))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        names = [name for name, _, _ in self._open]
        if tag not in names:
            return
        # What was left open inside ends with it, as browsers see it.
        del self._open[len(names) - 1 - names[::-1].index(tag) :]
        if tag == "a":
            self._link = None

    def handle_data(self, data: str) -> None:
        if self._is_hidden or (self._open and self._open[-1][2]):
            self._sight.hidden.append(data)
            return
        self._sight.text.append(data)
        if self._link is not None:
            self._link.label += data

    def handle_comment(self, data: str) -> None:
        self._sight.comments.append(data)

    @property
    def _is_hidden(self) -> bool:
        return bool(self._open) and self._open[-1][1]


def _hides(attributes: dict[str, str], names: set[str]) -> bool:
    return "hidden" in names or bool(_HIDING.search(attributes.get("style", "")))


def _has_no_size(style: str, *, around: bool) -> bool:
    """``around``: whether the text around has none."""
    sizes = [size.strip() for size in _SIZE.findall(style)]
    if not sizes:
        return around
    return bool(_NO_SIZE.match(sizes[-1])) or (around and bool(_RELATIVE_SIZE.match(sizes[-1])))
