"""Paths to handlers."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote

from optsync_mailchimp.mocking.account import Account, Params
from optsync_mailchimp.mocking.envelope import Call, Json
from optsync_mailchimp.mocking.problems import not_allowed, not_found

Handler = Callable[[Account, Call, Params], Json | None]
"""Answers 200 with the object, or 204 for None. Raises ``Problem``."""


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    template: str
    """Like ``/lists/{list}/members/{key}``."""
    handler: Handler


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template))


class Router:
    """Finds the handler of a path below ``/3.0``."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._table: dict[int, list[tuple[re.Pattern[str], dict[str, Handler]]]] = {}
        """By the number of slashes, which no part contains."""
        handlers: dict[str, dict[str, Handler]] = {}
        for route in routes:
            handlers.setdefault(route.template, {})[route.method] = route.handler
        for template, by_method in handlers.items():
            self._table.setdefault(template.count("/"), []).append((_pattern(template), by_method))

    def find(self, method: str, path: str) -> tuple[Handler, Mapping[str, str]]:
        """Raises ``Problem`` 404 for an unknown path, 405 for a verb that it does not take."""
        for pattern, by_method in self._table.get(path.count("/"), ()):
            match = pattern.fullmatch(path)
            if match is None:
                continue
            if method not in by_method:
                raise not_allowed(", ".join(sorted(by_method)))
            return by_method[method], {key: unquote(part) for key, part in match.groupdict().items()}
        raise not_found()
