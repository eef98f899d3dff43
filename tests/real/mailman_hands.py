"""A mailing list with the hands of its people, as the conformance kit wants them."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from optsync.connect.mock import MockConfig, MockRequest, Person
from optsync.model.record import Origin, Status
from tests.real.mailman_server import MailmanServer

_WORDS = {Status.IN: "enabled", Status.OUT: "by_user", Status.BOUNCED: "by_bounces"}
_STATUSES = {"by_moderator": Status.OUT, "unknown": Status.UNKNOWN} | {word: status for status, word in _WORDS.items()}


class MailmanHands:
    """A fresh list on a server that knows nobody: names belong to addresses and not to lists."""

    def __init__(self, server: MailmanServer) -> None:
        self._server = server
        for user in server.call("GET", "users").get("entries", []):
            server.call("DELETE", f"users/{user['user_id']}")
        self._list = server.new_list("kit")

    def config(self) -> MockConfig:
        side = {"audience": self._list}
        return MockConfig(system=dict(self._server.entry()), side=side, fields={"first_name": "display_name"})

    def is_write(self, request: MockRequest) -> bool:
        return request.method != "GET"

    def populate(self, people: Iterable[Person]) -> None:
        for person in people:
            email = _ascii(person.addresses[0])
            if person.status is Status.PENDING:
                self._server.ask_to_join(self._list, email)
            else:
                self._server.subscribe(self._list, email, person.first_name, _WORDS[person.status])

    def act(self, action: str, **arguments: Any) -> Any:
        return getattr(self, f"_{action}")(**arguments)

    def _view(self, email: str) -> Mapping[str, Any] | None:
        member = self._member(email)
        if member is None:
            waiting = [each for each in self._server.requests(self._list) if each["email"] == email.lower()]
            return {"status": Status.PENDING, "fields": {}} if waiting else None
        chosen = self._server.call("GET", f"members/{member['member_id']}/preferences").get(
            "delivery_status", "enabled"
        )
        origin = {"by_user": Origin.PERSON, "by_moderator": Origin.ADMIN}.get(chosen, Origin.UNKNOWN)
        name = member.get("display_name") or ""
        return {
            "status": _STATUSES[chosen],
            "origin": origin,
            "fields": {"first_name": name},
            "address": member["email"],
        }

    def _member(self, email: str) -> Any:
        found = self._server.call(
            "POST", "members/find", body={"list_id": self._list, "role": "member", "subscriber": _ascii(email)}
        )
        entries = found.get("entries", [])
        return next((each for each in entries if each["email"].lower() == _ascii(email).lower()), None)

    def _unsubscribe(self, email: str) -> None:
        if member := self._member(email):
            self._server.call("DELETE", f"members/{member['member_id']}")

    _admin_unsubscribe = _unsubscribe

    def _resubscribe(self, email: str) -> None:
        if self._member(email) is None:
            self._server.subscribe(self._list, email)
        else:
            self._server.resume(self._list, email)

    _flip_in = _resubscribe

    def _bounce(self, email: str) -> None:
        self._server.pause(self._list, email, "by_bounces")

    def _ban(self, email: str) -> None:
        """Of somebody who left."""
        self._unsubscribe(email)
        self._server.ban(self._list, email)

    def _confirm(self, email: str) -> None:
        tokens = [each["token"] for each in self._server.requests(self._list) if each["email"] == email.lower()]
        self._server.confirm(self._list, tokens[0])

    def _set_field(self, email: str, field: str, value: str) -> None:
        assert field == "first_name"
        self._server.call("PATCH", f"addresses/{quote(email)}", body={"display_name": value})


def _ascii(email: str) -> str:
    """Mailman takes no other domains."""
    local, _, domain = email.rpartition("@")
    return f"{local}@{domain}" if domain.isascii() else f"{local}@{domain.encode('idna').decode()}"
