"""PHP's view of requests and answers: nested keys, casts, and arrays that JSON shows as lists or maps."""

import re
from collections.abc import Iterable, Mapping
from email.parser import BytesParser
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from optsync.connect.mock import MockRequest

Params = dict[str, Any]

_KEYS = re.compile(r"\[([^\]]*)\]")
_LEADING_INT = re.compile(r"\s*[+-]?\d+", re.ASCII)
_LEADING_FLOAT = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def parse_str(text: str) -> Params:
    """Decodes a query as PHP's ``parse_str`` does: brackets nest, ``k[]`` appends, later duplicates overwrite."""
    return _nested([_decoded(part) for part in text.split("&") if part])


@lru_cache(maxsize=4096)
def _decoded(part: str) -> tuple[tuple[str, ...], str]:
    """The keys and the value. Clients send the same few over and over."""
    name, _, value = part.partition("=")
    return _path(unquote_plus(name, errors="replace")), unquote_plus(value, errors="replace")


def decode_request(request: MockRequest) -> Params:
    """Parameters of query and body, the body winning. A body of JSON counts only where no form was parsed, and
    JSON that cannot be read is no parameters at all."""
    return {**parse_str(request.query), **_body(request)}


def _body(request: MockRequest) -> Params:
    kind = request.headers.get("content-type", "")
    form: Params = {}
    if kind.startswith("application/x-www-form-urlencoded"):
        form = parse_str(request.body.decode("utf-8", "replace"))
    elif kind.startswith("multipart/form-data"):
        form = _nested((_path(name), value) for name, value in _multipart(kind, request.body))
    if form or not request.body:
        return form
    try:
        found = msgspec.json.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return as_map(found)


def _multipart(kind: str, body: bytes) -> Iterable[tuple[str, str]]:
    message = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            yield name, content.decode("utf-8", "replace")


def _nested(pairs: Iterable[tuple[tuple[str, ...], str]]) -> Params:
    root: Params = {}
    for keys, value in pairs:
        if len(keys) == 1:
            root[keys[0]] = value
        else:
            _put(root, keys, value)
    return {key: _listed(value) if isinstance(value, dict) else value for key, value in root.items()}


def _path(name: str) -> tuple[str, ...]:
    """The keys that a parameter's name stands for; none where PHP drops it."""
    top, bracket, rest = name.partition("[")
    keys = _KEYS.findall(bracket + rest) if "]" in rest else []
    if bracket and not keys:
        top = f"{top}_{rest}"
    top = top.lstrip(" ").replace(".", "_").replace(" ", "_")
    return (top, *keys) if top else ()


def _put(node: Params, keys: tuple[str, ...], value: str) -> None:
    for position, key in enumerate(keys):
        if key == "" and position:
            key = str(max((int(k) for k in node if k.isdigit()), default=-1) + 1)  # noqa: PLW2901 - PHP appends
        if position == len(keys) - 1:
            node[key] = value
            return
        below = node.get(key)
        if not isinstance(below, dict):
            below = node[key] = {}
        node = below


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _listed(below) if isinstance(below, dict) else below for key, below in value.items()}
    return list(inner.values()) if _counts_up(inner) else inner


def _counts_up(node: Mapping[Any, Any]) -> bool:
    if not node:
        return True
    # Nearly every array has names for keys, which the first one shows.
    return next(iter(node)) in ("0", 0) and tuple(map(str, node)) == _numerals(len(node))


@lru_cache(maxsize=64)
def _numerals(many: int) -> tuple[str, ...]:
    return tuple(map(str, range(many)))


class Shown(list[Any]):
    """A list in whose elements :func:`php_json` has nothing to change."""


class ShownMap(dict[str, Any]):
    """A map that is not empty, has names for keys, and in whose values :func:`php_json` has nothing to change."""


def php_json(value: Any) -> Any:
    """The value as PHP's ``json_encode`` shows its arrays: an empty map and one with the keys 0..n-1 is a list.
    Changes dictionaries and lists in place where possible."""
    if isinstance(value, (Shown, ShownMap)):
        return value
    if isinstance(value, dict):
        for key, below in value.items():
            if isinstance(below, (dict, list)):
                value[key] = php_json(below)
        return list(value.values()) if _counts_up(value) else value
    if isinstance(value, list):
        for position, below in enumerate(value):
            if isinstance(below, (dict, list)):
                value[position] = php_json(below)
    return value


def as_map(value: Any) -> Params:
    """A PHP array with its keys; anything that is no array is empty."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return {str(position): below for position, below in enumerate(value)}
    return {}


def elements(value: Any) -> list[Any]:
    """The values of a PHP array; a scalar is an array of itself."""
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list) else [value]


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


def is_array(value: Any) -> bool:
    return isinstance(value, (dict, list))


def php_int(value: Any) -> int:
    """PHP's cast to int: leading digits count, rubbish is 0, a filled array is 1."""
    if isinstance(value, (dict, list)):
        return 1 if value else 0
    if isinstance(value, (bool, int, float)):
        return int(value)
    match = _LEADING_INT.match(value) if isinstance(value, str) else None
    return int(match[0]) if match else 0


def php_float(value: Any) -> float:
    """PHP's cast to float: a leading number counts, rubbish is 0."""
    if not isinstance(value, str):
        return float(value) if isinstance(value, (bool, int, float)) else float(bool(value))
    match = _LEADING_FLOAT.match(value)
    return float(match[0]) if match else 0.0


def php_text(value: Any) -> str:
    """PHP's cast to string."""
    if isinstance(value, (dict, list)):
        return "Array"
    if isinstance(value, bool):
        return "1" if value else ""
    return "" if value is None else str(value)


def is_blank(value: Any) -> bool:
    """Whether there is nothing in it: null, the empty string, an empty array."""
    return value is None or value == "" or (isinstance(value, (dict, list)) and not value)


def param(params: Params, name: str) -> Any:
    """A parameter of the classic methods, which accept several casings of its name."""
    for variant in _casings(name):
        if variant in params:
            return params[variant]
    return None


@lru_cache(maxsize=64)
def _casings(name: str) -> tuple[str, ...]:
    return name, name.upper(), name.capitalize(), f"ar{name.capitalize()}"
