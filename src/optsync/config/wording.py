"""Says in plain words what was found and what was expected, without ever showing a secret."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from optsync.config.places import Path

HIDDEN = "a hidden value"
_SECRET_NAME = re.compile(r"key|secret|token|password|passwd|credential|webhook_url", re.IGNORECASE)
_LONGEST = 60


def found(value: object, path: Path, *, is_hidden: bool) -> str:
    """The value as a person would recognise it in the file."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if value is None:
        return "nothing"
    if is_hidden or any(_SECRET_NAME.search(str(part)) for part in path) or _may_carry_a_secret(str(value)):
        return HIDDEN
    return _shown(value)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    return f'"{text[:_LONGEST]}{"…" if len(text) > _LONGEST else ""}"'


def _may_carry_a_secret(text: str) -> bool:
    """Addresses of web services often hold a key in their path, those of databases a password."""
    if "://" not in text:
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return True
    return "@" in parts.netloc or (parts.scheme.startswith("http") and parts.path not in ("", "/")) or bool(parts.query)


def one_of(names: Iterable[str]) -> str:
    """``crm, esp or mc``."""
    ordered = list(names)
    return f"{', '.join(ordered[:-1])} or {ordered[-1]}" if len(ordered) > 1 else "".join(ordered)


def choice(given: str, names: Iterable[str]) -> str:
    """``did you mean crm? (crm, esp or mc)``, or the names alone."""
    known = list(names)
    if len(known) < 2:
        return one_of(known) or "none"
    hint = "".join(f"; did you mean {name}?" for name in close(given, known))
    return f"one of {one_of(known)}{hint}"


def close(given: str, names: Iterable[str]) -> list[str]:
    """The name that was probably meant, if there is one."""
    return difflib.get_close_matches(given, list(names), n=1, cutoff=0.6)


_Context = Mapping[str, Any]
_EXPECTED: dict[str, Callable[[_Context], str]] = {
    "missing": lambda _: "a value: this key is required",
    "bool_parsing": lambda _: "true or false",
    "bool_type": lambda _: "true or false",
    "int_parsing": lambda _: "a whole number",
    "int_parsing_size": lambda _: "a whole number that is not so long",
    "int_type": lambda _: "a whole number",
    "int_from_float": lambda _: "a whole number",
    "float_parsing": lambda _: "a number",
    "float_type": lambda _: "a number",
    "string_type": lambda _: "text",
    "dict_type": lambda _: "a mapping of keys",
    "mapping_type": lambda _: "a mapping of keys",
    "model_type": lambda _: "a mapping of keys",
    "model_attributes_type": lambda _: "a mapping of keys",
    "tuple_type": lambda _: "a list",
    "list_type": lambda _: "a list",
    "too_short": lambda context: (
        f"at least {context['min_length']} {'characters' if context.get('is_text') else 'of them'}"
    ),
    "string_too_short": lambda context: f"at least {context['min_length']} characters",
    "string_pattern_mismatch": lambda context: f"text like {context['pattern']}",
    "greater_than_equal": lambda context: f"{context['ge']:g} or more",
    "greater_than": lambda context: f"more than {context['gt']:g}",
    "less_than_equal": lambda context: f"{context['le']:g} or less",
    "less_than": lambda context: f"less than {context['lt']:g}",
    "literal_error": lambda context: str(context["expected"]).replace("'", ""),
    "enum": lambda context: str(context["expected"]).replace("'", ""),
}


def expected(kind: str, message: str, context: _Context) -> str:
    """What pydantic's error asks for. ``message`` is used where a validator of ours or a connector's spoke."""
    known = _EXPECTED.get(kind)
    if known is not None:
        return known(context)
    for lead in ("Value error, ", "Assertion failed, ", "Input should be ", "expected "):
        message = message.removeprefix(lead)
    return message
