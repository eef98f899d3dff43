"""Which mails show a way out that works, and what is wrong with the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync.model.mailing import LinkTags, Mailing, MailingKind, MailText
from optsync.sync.audit import Flaw, audit, judge

TAGS = LinkTags(names=("[[LEAVE]]",), opening="[[", closing="]]")
GOOD = '<a href="[[LEAVE]]">Unsubscribe</a>'


def mailing(*fragments: str, is_html: bool = True, is_whole: bool = True) -> Mailing:
    text = MailText(name="html" if is_html else "plain_text", fragments=fragments, is_html=is_html)
    return Mailing(
        id="7", name="Spring", kind=MailingKind.CAMPAIGN, tags=TAGS, texts=(text,), is_whole=is_whole, reason=""
    )


def flaws(*fragments: str, is_html: bool = True) -> list[Flaw]:
    found = mailing(*fragments, is_html=is_html)
    return [f.flaw for f in judge(found, found.texts[0])]


@pytest.mark.parametrize(
    "html",
    [
        GOOD,
        f"<p>Hello</p><div><table><tr><td>{GOOD}",
        '<A HREF=" [[LEAVE]] "><b>Leave</b></A>',
        "<a href='[[LEAVE]]'><img src=x></a>",
        '<map><area href="[[LEAVE]]" alt="Unsubscribe"></map>',
        f'<!-- [[LEAVE]] --><a href="#">unsubscribe</a>{GOOD}',
        f"<div style='display:none'>Preview</div><br><img src=x>{GOOD}",
        f'<p style="font-size:0.9em; opacity: 0.8">{GOOD}</p>',
        f"<p hidden>Preview</p>{GOOD}",
        f'<td style="font-size:0px;padding:20px 0"><div style="font-size:13px">{GOOD}</div></td>',
        '<td style="font-size:0"><a href="[[LEAVE]]"><img alt="Unsubscribe"></a></td>',
        f"<!--[if mso]><table><![endif]-->{GOOD}",
        f"<span><b>unclosed</span>{GOOD}",
    ],
)
def test_one_link_that_can_be_seen_and_followed_is_enough(html: str) -> None:
    assert flaws(html) == []


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("", [Flaw.MISSING]),
        ("<p>Hello [[NAME]]</p><a href='https://example.com'>News</a>", [Flaw.MISSING]),
        (f"<!-- {GOOD} -->", [Flaw.IN_COMMENT]),
        (f"<p>Hello</p><!-- <b>draft</b> {GOOD}", [Flaw.IN_COMMENT]),
        (f"<div style='display: NONE'>{GOOD}</div>", [Flaw.HIDDEN]),
        (f"<div hidden><p>{GOOD}</p></div>", [Flaw.HIDDEN]),
        ('<a href="[[LEAVE]]" style="visibility:hidden">Unsubscribe</a>', [Flaw.HIDDEN]),
        ('<p style="font-size:0">' + GOOD, [Flaw.HIDDEN]),
        ('<p style="font-size:0"><span style="font-size:120%">' + GOOD, [Flaw.HIDDEN]),
        ('<p style="font-size:13px; font-size: 0px !important">' + GOOD, [Flaw.HIDDEN]),
        ('<a href="[[LEAVE]]"> </a>', [Flaw.HIDDEN]),
        ("<style>/* [[LEAVE]] */</style>", [Flaw.HIDDEN]),
        ("<p>To leave: [[LEAVE]]</p>", [Flaw.NO_LINK]),
        ('<a href="">Unsubscribe</a>', [Flaw.DEAD_LINK]),
        ('<a href="#">Newsletter abbestellen</a>', [Flaw.DEAD_LINK]),
        ("<a>Click here to opt out</a>", [Flaw.DEAD_LINK]),
        ('<a href="javascript:void(0)">se désinscrire</a>', [Flaw.DEAD_LINK]),
        ('<a href="https://example.com/bye">Unsubscribe</a>', [Flaw.OWN_LINK]),
        ('<a href="[[LEAVES]]">Unsubscribe</a>', [Flaw.MISSPELT_TAG]),
        ('<a href="[[leave]]">Unsubscribe</a>', [Flaw.MISSPELT_TAG]),
        ('<a href="[[ LEAVE ]]">Unsubscribe</a>', [Flaw.MISSPELT_TAG]),
        (f'<a href="#">unsubscribe</a><!-- {GOOD} -->', [Flaw.DEAD_LINK, Flaw.IN_COMMENT]),
    ],
)
def test_what_keeps_people_from_getting_out_is_named(html: str, expected: list[Flaw]) -> None:
    assert flaws(html) == expected


def test_one_of_several_fragments_is_enough_and_a_comment_ends_with_its_fragment() -> None:
    assert flaws("<p>Hello</p>", GOOD) == []
    assert flaws("<!-- open", GOOD) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bye: [[LEAVE]]", []),
        ("Bye: https://optsync.example.com/o/x", [Flaw.MISSING]),
        ("Bye: [[LEAF]]", [Flaw.MISSPELT_TAG]),
        ("Bye", [Flaw.MISSING]),
    ],
)
def test_plain_text_needs_no_more_than_the_tag(text: str, expected: list[Flaw]) -> None:
    assert flaws(text, is_html=False) == expected


def test_each_finding_says_where_what_and_what_to_do() -> None:
    (finding,) = audit([mailing('<a href="#">Unsubscribe here</a>')]).findings
    assert finding.to_json() == {
        "kind": "campaign",
        "id": "7",
        "name": "Spring",
        "text": "html",
        "flaw": "dead_link",
        "found": "the link “Unsubscribe here” leads nowhere: its address is empty or a placeholder",
        "advice": "set its address to [[LEAVE]]",
    }
    (whole,) = audit([mailing("<p>x</p>")]).findings
    (part,) = audit([mailing("<p>x</p>", is_whole=False)]).findings
    assert part.advice.startswith(whole.advice)
    assert "look into the fixed ones" in part.advice


def test_what_shows_nothing_is_neither_good_nor_bad() -> None:
    empty = Mailing(id="8", name="Empty", kind=MailingKind.TEMPLATE, tags=TAGS, reason="nothing in it")
    done = audit([empty, mailing(GOOD)])
    assert (done.checked, done.findings, done.unread) == (2, (), (empty,))


PIECES = st.sampled_from(
    [GOOD, "<!--", "-->", "<div hidden>", "</div>", "<p>", "<a href='#'>unsubscribe", "</a>", "[[LEAVE]]", "<", "&#x;"]
)


@given(st.lists(PIECES | st.text(max_size=5), max_size=12))
def test_any_html_is_read_and_what_is_not_right_has_a_reason(pieces: list[str]) -> None:
    assert GOOD in "".join(pieces) or flaws("".join(pieces))
    assert flaws("".join(pieces), GOOD) == []
