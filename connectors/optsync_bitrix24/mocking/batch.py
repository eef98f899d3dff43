"""``batch``: up to 50 commands in one request, one after another, each with its own outcome."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

from optsync_bitrix24.mocking.answers import RestError, Result
from optsync_bitrix24.mocking.methods import is_writing
from optsync_bitrix24.mocking.php import Params, as_map, is_array, is_blank, parse_str, php_text

_MOST_COMMANDS = 50
_REFERENCE = re.compile(r"\$result((?:\[[^\[\]]*\])+)")
_KEY = re.compile(r"\[([^\[\]]*)\]")
_UNRESOLVED = ""

Execute = Callable[[str, Params], tuple[Result, dict[str, Any]]]
"""Runs one command; gives the result and its ``time`` block, raises :class:`RestError`."""


def commands(params: Params) -> dict[str, tuple[str, str]]:
    """Key -> (method in lower case, query)."""
    return {key: _parted(php_text(command)) for key, command in as_map(params.get("cmd")).items()}


@lru_cache(maxsize=1024)
def _parted(command: str) -> tuple[str, str]:
    name, _, query = command.partition("?")
    return name.strip().lower(), query


def run(params: Params, execute: Execute, *, fails_together: bool) -> dict[str, Any]:
    """The five members of the answer."""
    results: dict[str, Any] = {}
    answer: dict[str, dict[str, Any]] = {"result": results}
    for member in ("result_error", "result_total", "result_next", "result_time"):
        answer[member] = {}
    asked = commands(params)
    if len(asked) > _MOST_COMMANDS and fails_together:
        _demand_allowed(len(asked), "")
    halts = php_text(params.get("halt")).lower() not in ("", "0", "false", "n")
    for position, (key, (name, query)) in enumerate(asked.items()):
        try:
            _demand_allowed(position, name)
            # What a reading method is given nobody keeps or changes.
            given, referring = _parsed(query) if is_writing(name) else _read(query)
            result, spent = execute(name, _resolved(given, referring, results) if referring else given)
        except RestError as error:
            answer["result_error"][key] = error.body()
            if halts:
                break
            continue
        results[key] = result.value
        answer["result_time"][key] = spent
        if result.total is not None:
            answer["result_total"][key] = result.total
        if result.next is not None:
            answer["result_next"][key] = result.next
    return answer


def _demand_allowed(position: int, name: str) -> None:
    if position >= _MOST_COMMANDS:
        raise RestError("ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded")
    if name == "batch":
        raise RestError("ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage", status=405)


def _parsed(query: str) -> tuple[Params, frozenset[str]]:
    """The parameters, and the names of those that hold a reference."""
    given = parse_str(query)
    if "result" not in query:  # however the rest of the reference is encoded
        return given, frozenset()
    return given, frozenset(name for name, value in given.items() if _refers(value))


_read = lru_cache(maxsize=1024)(_parsed)


def _refers(value: Any) -> bool:
    if is_array(value):
        return any(_refers(below) for below in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and "$result[" in value


def _resolved(given: Params, referring: frozenset[str], results: dict[str, Any]) -> Params:
    return {name: _replaced(value, results) if name in referring else value for name, value in given.items()}


def _replaced(value: Any, results: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(below, results) for key, below in value.items()}
    if isinstance(value, list):
        return [_replaced(below, results) for below in value]
    if not isinstance(value, str) or "$result[" not in value:
        return value
    if match := _REFERENCE.fullmatch(value):
        return _look_up(match[1], results)
    return _REFERENCE.sub(lambda found: php_text(_look_up(found[1], results)), value)


def _look_up(path: str, results: dict[str, Any]) -> Any:
    """Walks as deep as there is something; nothing at all is the empty string."""
    here: Any = results
    for position, key in enumerate(_keys(path)):
        if isinstance(here, list):
            # The numbers of its places as PHP writes them, and nothing else, are the keys of a list.
            is_there = key.isdecimal() and int(key) < len(here) and str(int(key)) == key
            below = here[int(key)] if is_there else None
        else:
            is_there = isinstance(here, dict) and key in here
            below = here[key] if is_there else None
        if not is_there:
            return here if position and not is_blank(here) else _UNRESOLVED
        here = below
    return here


@lru_cache(maxsize=256)
def _keys(path: str) -> tuple[str, ...]:
    return tuple(unquote_plus(raw).strip("'\"") for raw in _KEY.findall(path))
