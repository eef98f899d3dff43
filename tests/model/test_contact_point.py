import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync.model.contact_point import InvalidAddress, normalise, same_mailbox, sendable


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ("anna@example.com", "anna@example.com"),
        ("  Anna.Berg@Example.COM\t", "anna.berg@example.com"),
        ("\u00a0anna@example.com\u200b", "anna@example.com"),
        ("mailto:Anna@example.com", "anna@example.com"),
        ("Anna Berg <anna@example.com>", "anna@example.com"),
        ("anna+news@example.com", "anna+news@example.com"),
        ("a.n.n.a@example.com", "a.n.n.a@example.com"),
        ("o'brien@example.com", "o'brien@example.com"),
        ("info@bücher.example", "info@xn--bcher-kva.example"),
        ("info@BÜCHER.example", "info@xn--bcher-kva.example"),
        ("info@xn--bcher-kva.example", "info@xn--bcher-kva.example"),
        ("info@faß.example", "info@xn--fa-hia.example"),
        ("info@例え.example", "info@xn--r8jz45g.example"),
        ("anna@example.com.", "anna@example.com"),
        ("Jürgen@example.com", "jürgen@example.com"),
        ("ju\u0308rgen@example.com", "jürgen@example.com"),
        ("straße@example.com", "straße@example.com"),
        ('"anna"@example.com', "anna@example.com"),
        ('"anna berg"@example.com', '"anna berg"@example.com'),
        ('"a"@example.com', "a@example.com"),
        ('"an@na"@bücher.example', '"an@na"@xn--bcher-kva.example'),
        ("\ufeffanna@example.com", "anna@example.com"),
        ("mailto:\u200banna@example.com", "anna@example.com"),
        ("Anna <\u200banna@example.com>", "anna@example.com"),
        ("ü" * 32 + "@example.com", "ü" * 32 + "@example.com"),
        ("anna@1.example", "anna@1.example"),
        ("anna@bücher.1.example", "anna@xn--bcher-kva.1.example"),
        ("anna@ab--cd.example", "anna@ab--cd.example"),
        ("Anna <anna@AB--cd.example>", "anna@ab--cd.example"),
        ("mailto:anna@ab--cd.example.", "anna@ab--cd.example"),
        ("änna@ab--cd.example", "änna@ab--cd.example"),
    ],
)
def test_spellings_of_one_address_have_one_key(raw: str, key: str) -> None:
    assert normalise(raw) == key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("anna+a@example.com", "anna+b@example.com"),
        ("an.na@example.com", "anna@example.com"),
        ("strasse@example.com", "straße@example.com"),
        ("info@fass.example", "info@faß.example"),
        ("anna@mail.example.com", "anna@example.com"),
    ],
)
def test_different_people_are_never_merged(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)
    assert not same_mailbox(one, other)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "   ",
        "anna",
        "@example.com",
        "anna@",
        "anna@localhost",
        "anna@127.0.0.1",
        "anna@[127.0.0.1]",
        "anna berg@example.com",
        ".anna@example.com",
        "anna.@example.com",
        "an..na@example.com",
        "anna@exam_ple.example",
        "anna@example..com",
        "anna@-berta.example",
        "a@b@example.com",
        "anna,berta@example.com",
        "anna@example.com, berta@example.com",
        "an\u0000na@example.com",
        "x" * 65 + "@example.com",
        "ü" * 33 + "@example.com",
        "anna@" + "a" * 64 + ".example",
        "j\ufffdrg@example.com",
        "anna@" + ".".join(["a" * 60] * 5) + ".example",
    ],
)
def test_what_cannot_be_mailed_is_refused_without_repeating_it(raw: str) -> None:
    with pytest.raises(InvalidAddress) as refusal:
        normalise(raw)
    assert not raw.strip() or raw not in str(refusal.value)


STRAY = "the part before the @ holds spaces, stray dots or special characters"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("anna", "no local part and domain around an @"),
        ("@example.com", "no local part and domain around an @"),
        ("anna@", "no local part and domain around an @"),
        ("anna berg@example.com", STRAY),
        ('anna"@example.com', STRAY),
        ('"anna@example.com', STRAY),
        ('""@example.com', STRAY),
        ('"an\u0000na"@example.com', "the part before the @ holds unprintable characters"),
        ("ü" * 33 + "@example.com", "the part before the @ is longer than 64 bytes"),
        ("anna@exam_ple.example", "the domain is an address literal or holds an underscore"),
        ("anna@[127.0.0.1]", "the domain is an address literal or holds an underscore"),
        ("anna@example..com", "the domain is not a valid host name"),
        ("anna@xn--999999999.example", "the domain is not a valid host name"),
        ("anna@localhost", "the domain has a single label"),
        ("anna@127.0.0.1", "the domain is an IP address"),
        ("j\ufffdrg@example.com", "it holds a character that was spoilt by its encoding"),
        ("info@b\ufffdcher.example", "it holds a character that was spoilt by its encoding"),
    ],
)
def test_a_refusal_says_what_is_wrong(raw: str, why: str) -> None:
    with pytest.raises(InvalidAddress) as refusal:
        normalise(raw)

    assert str(refusal.value) == why


@pytest.mark.parametrize("local", ["anna", "ännä"])
def test_an_address_has_at_most_254_bytes(local: str) -> None:
    labels = ".".join(["a" * 60] * 4)
    rest = 254 - len(f"{local}@{labels}.".encode())
    longest = f"{local}@{labels}.{'b' * rest}"

    assert normalise(longest) == longest
    with pytest.raises(InvalidAddress, match=r"^longer than 254 bytes$"):
        normalise(f"{longest}b")


def test_an_invalid_address_equals_only_itself() -> None:
    assert same_mailbox("n/a", "n/a")
    assert not same_mailbox("n/a", "N/A")
    assert same_mailbox("Anna@Example.com", " anna@example.com")


LOCALS = st.text(st.characters(codec="utf-8", categories=["L", "N"]) | st.sampled_from("+-_."), min_size=1, max_size=20)
DOMAINS = st.sampled_from(["example.com", "Bücher.example", "例え.example", "xn--bcher-kva.example", "müller.test."])


@given(local=LOCALS, domain=DOMAINS)
def test_a_key_is_its_own_key(local: str, domain: str) -> None:
    try:
        key = normalise(f"{local}@{domain}")
    except InvalidAddress:
        return
    assert normalise(key) == key


@given(local=LOCALS, domain=DOMAINS)
def test_composition_and_surrounding_space_do_not_matter(local: str, domain: str) -> None:
    forms = [f"{unicodedata.normalize(form, local)}@{domain}" for form in ("NFC", "NFD")]
    keys = set()
    for form in [*forms, f" {forms[0]}\u00a0"]:
        try:
            keys.add(normalise(form))
        except InvalidAddress:
            keys.add("invalid")
    assert len(keys) == 1


@given(st.text(max_size=60))
def test_any_text_is_a_mailable_ascii_domain_or_refused(text: str) -> None:
    try:
        key = normalise(text)
    except InvalidAddress:
        return
    local, _, domain = key.rpartition("@")
    assert local
    assert domain.isascii()
    assert "." in domain
    assert domain == domain.lower()


@pytest.mark.parametrize(
    ("raw", "sent"),
    [
        ("  Anna.Berg@Example.COM\t", "Anna.Berg@Example.COM"),
        ("Anna Berg <Anna@example.com>", "Anna@example.com"),
        ("mailto:anna@example.com.", "anna@example.com"),
        ("\u00a0info@BÜCHER.example", "info@xn--bcher-kva.example"),
        ("\u200bAnna@example.com", "Anna@example.com"),
        ('"An@na"@BÜCHER.example', '"An@na"@xn--bcher-kva.example'),
    ],
)
def test_an_address_is_handed_over_as_typed_but_for_what_does_not_belong_to_it(raw: str, sent: str) -> None:
    assert sendable(raw) == sent
    assert normalise(sendable(raw)) == normalise(raw)


def test_what_is_no_address_is_not_handed_over() -> None:
    with pytest.raises(InvalidAddress):
        sendable("no address")
