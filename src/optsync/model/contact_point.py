"""Contact points: one normalised e-mail address, the thing that consent belongs to."""

import re
import unicodedata

import idna

_EDGES = " \t\r\n\f\v\u00a0\u200b\u200c\u200d\ufeff"
_HOST = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]"
_PLAIN_HOST = re.compile(_HOST)
_PLAIN = re.compile(rf"[a-z0-9!#$%&'*+/=?^_`{{|}}~.-]{{1,64}}@{_HOST}")
_ANGLED = re.compile(r"^[^<>]*<([^<>]+)>$")
_SPECIAL = frozenset('()<>[]:;,\\"')


class InvalidAddress(ValueError):
    """The text is no e-mail address; the message says why, without repeating it."""


def normalise(raw: str) -> str:
    """The key of an address: trimmed, NFC, lower-case, domain as IDNA (UTS 46) A-labels.

    No plus-tag or dot folding: other providers treat those as different people.

    Raises:
        InvalidAddress: not an address one can mail.
    """
    text = raw.strip(_EDGES)
    lowered = text.lower()
    if _PLAIN.fullmatch(lowered) and ".." not in lowered and "xn--" not in lowered and len(lowered) <= 254:
        local = lowered.partition("@")[0]
        if not (local.startswith(".") or local.endswith(".")):
            return lowered
    return _normalise_carefully(text)


def sendable(raw: str) -> str:
    """The address as it is handed to a system: spaces, ``mailto:`` and a display name around it are gone, a domain
    beyond ASCII is in A-labels; letter case stays as typed.

    Raises:
        InvalidAddress: not an address one can mail.
    """
    normalise(raw)
    local, _, domain = _undressed(raw.strip(_EDGES)).rpartition("@")
    return f"{local}@{domain.removesuffix('.') if domain.isascii() else _domain_key(domain)}"


def _undressed(text: str) -> str:
    if text[:7].lower() == "mailto:":
        text = text[7:].strip(_EDGES)
    if angled := _ANGLED.match(text):
        text = angled[1].strip(_EDGES)
    return text


def _normalise_carefully(text: str) -> str:
    text = _undressed(text)
    local, at, domain = unicodedata.normalize("NFC", text).rpartition("@")
    if not at or not local or not domain:
        raise InvalidAddress("no local part and domain around an @")
    if "\N{REPLACEMENT CHARACTER}" in text:
        # What it stands for is not known any more: as it is, it would be a stranger's address.
        raise InvalidAddress("it holds a character that was spoilt by its encoding")
    key = f"{_local_key(local)}@{_domain_key(domain)}"
    if len(key.encode()) > 254:
        raise InvalidAddress("longer than 254 bytes")
    return key


def _local_key(local: str) -> str:
    quoted = len(local) > 2 and local.startswith('"') and local.endswith('"')
    bare = local[1:-1] if quoted else local
    is_atom = bool(bare) and not any(c in _SPECIAL or c == "@" or c.isspace() or not c.isprintable() for c in bare)
    is_atom = is_atom and not (bare.startswith(".") or bare.endswith(".") or ".." in bare)
    if not is_atom and not quoted:
        raise InvalidAddress("the part before the @ holds spaces, stray dots or special characters")
    if not all(c.isprintable() for c in bare):
        raise InvalidAddress("the part before the @ holds unprintable characters")
    # lower() and not casefold(), which turns ß into ss and so merges strangers.
    lowered = unicodedata.normalize("NFC", (bare if is_atom else local).lower())
    if len(lowered.encode()) > 64:
        raise InvalidAddress("the part before the @ is longer than 64 bytes")
    return lowered


def _domain_key(domain: str) -> str:
    domain = domain.removesuffix(".")
    if "_" in domain or domain.startswith("["):
        raise InvalidAddress("the domain is an address literal or holds an underscore")
    lowered = domain.lower()
    if _PLAIN_HOST.fullmatch(lowered) and "xn--" not in lowered:
        # Also where IDNA keeps labels for itself: hosts are named a1--b all the same.
        return lowered
    try:
        # The idna package and not the built-in codec: that is IDNA 2003 and maps faß.de to fass.de.
        key = idna.encode(domain, uts46=True, transitional=False).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError) as error:
        raise InvalidAddress("the domain is not a valid host name") from error
    labels = key.split(".")
    if len(labels) < 2:
        raise InvalidAddress("the domain has a single label")
    if labels[-1].isdigit():
        raise InvalidAddress("the domain is an IP address")
    return key


def same_mailbox(first: str, second: str) -> bool:
    """Whether two spellings name one contact point; an invalid one equals only itself."""
    try:
        return normalise(first) == normalise(second)
    except InvalidAddress:
        return first == second
