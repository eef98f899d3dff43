"""The control API of the mock server, for tests and demonstrations.

* ``GET /_mock/config``: by mock, what a configuration needs to reach it
* ``POST /_mock/{mock}/act/{action}`` with a JSON object of arguments: what people do there; the result as JSON
* ``GET /_mock/{mock}/log?last=50``, ``DELETE``: the calls counted, and the newest requests
* ``GET /_mock/faults``, ``POST`` ``{"rules": [...]}``, ``DELETE``: see :class:`optsync_mock.faults.Rule`
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

from optsync.connect.mock import MockRequest, MockResponse
from optsync_mock.faults import FaultInjector, Rule
from optsync_mock.mount import Mount


class Refused(Exception):
    """The request is answered with ``status`` and the message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Rules(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /_mock/faults``."""

    rules: list[dict[str, Any]]


class Control:
    """Answers requests below ``/_mock``; their paths come without it."""

    def __init__(self, mounts: Mapping[str, Mount], faults: FaultInjector) -> None:
        self._mounts = mounts
        self._faults = faults

    def handle(self, request: MockRequest) -> MockResponse:
        try:
            return json_answer(self._route(request))
        except Refused as refused:
            return json_answer({"error": str(refused)}, status=refused.status)

    def _route(self, request: MockRequest) -> Any:
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["config"]:
                return {name: self._config(name, request.base_url) for name in self._mounts}
            case "GET" | "POST" | "DELETE", ["faults"]:
                return self._fault_rules(request)
            case "GET", [name, "log"]:
                return self._mount(name).log(_last(request.query))
            case "DELETE", [name, "log"]:
                return self._mount(name).clear_log()
            case "POST", [name, "act", action]:
                return self._act(self._mount(name), action, request.body)
            case _:
                raise Refused(404, "unknown control request")

    def _mount(self, name: str) -> Mount:
        if name not in self._mounts:
            raise Refused(404, f"no mock {name}; there are: {', '.join(self._mounts)}")
        return self._mounts[name]

    def _config(self, name: str, base_url: str) -> dict[str, Any]:
        mock = self._mounts[name].mock
        config = mock.config(f"{base_url}/{name}")
        return {"role": mock.side, **msgspec.to_builtins(config)}

    def _act(self, mount: Mount, action: str, body: bytes) -> Any:
        try:
            arguments = msgspec.json.decode(body or b"{}", type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise Refused(400, f"the arguments are no JSON object: {error}") from None
        try:
            return mount.act(action, arguments)
        except KeyError as error:
            raise Refused(404, f"{action}: unknown action or record {error}") from None
        except (TypeError, ValueError) as error:
            raise Refused(400, f"{action}: {error}") from None

    def _fault_rules(self, request: MockRequest) -> dict[str, Any]:
        if request.method == "POST":
            self._faults.replace(_rules(request.body))
        elif request.method == "DELETE":
            self._faults.replace(())
        return {"rules": msgspec.to_builtins(self._faults.rules), "hits": self._faults.hits}


def json_answer(value: Any, *, status: int = 200) -> MockResponse:
    """``value`` as JSON; frozen values, times and enums included."""
    return MockResponse(status=status, headers={"Content-Type": "application/json"}, body=msgspec.json.encode(value))


def _rules(body: bytes) -> list[Rule]:
    try:
        asked = msgspec.json.decode(body, type=Rules).rules
        unknown = {name for rule in asked for name in rule} - set(Rule.__dataclass_fields__)
        if unknown:
            # A misspelt condition would hit every request.
            raise Refused(400, f"unknown keys in a rule: {', '.join(sorted(unknown))}")
        return [msgspec.convert(rule, Rule) for rule in asked]
    except msgspec.MsgspecError as error:
        raise Refused(400, f"these are no rules: {error}") from None


def _last(query: str) -> int:
    value = parse_qs(query).get("last", ["50"])[-1]
    if not value.isdigit():
        raise Refused(400, f"last: {value} is no number")
    return int(value)
