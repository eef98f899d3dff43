"""Methods about the portal itself: who am I, what may I call, what time is it; directories and timelines."""

from collections.abc import Callable
from typing import Any

from optsync_bitrix24.mocking.answers import RestError, Result
from optsync_bitrix24.mocking.catalogue import ENTITY_TYPES, STATUSES
from optsync_bitrix24.mocking.php import as_map, elements, is_array, is_blank, param, php_int, php_text
from optsync_bitrix24.mocking.portal import Call, Comment, Portal


class Account:
    """``names`` and ``exists`` tell what the portal can do."""

    def __init__(self, portal: Portal, names: Callable[[], list[str]], exists: Callable[[str], bool]) -> None:
        self._portal = portal
        self._names = names
        self._exists = exists

    def general(self) -> dict[str, Callable[[Call], Result]]:
        """The methods that need no scope."""
        return {
            "profile": self._profile,
            "scope": self._scope,
            "methods": self._methods,
            "method.get": self._method,
            "server.time": self._server_time,
            "feature.get": self._feature,
            "app.info": self._app,
        }

    def _methods(self, _: Call) -> Result:
        return Result(value=self._names())

    def _server_time(self, _: Call) -> Result:
        return Result(value=self._portal.moments.show(self._portal.moments.now()))

    def statuses(self, call: Call) -> Result:
        wanted = as_map(param(call.params, "filter")).get("ENTITY_ID")
        lists = {php_text(one) for one in elements(wanted)} if not is_blank(wanted) else set(STATUSES)
        rows = [
            _status(number, name, word, label)
            for number, (name, word, label) in enumerate(
                ((name, word, label) for name, words in STATUSES.items() for word, label in words.items()), start=1
            )
            if name in lists
        ]
        return Result(value=rows, total=len(rows))

    def comment(self, call: Call) -> Result:
        """Accepts the parameter ``fields`` in this spelling only."""
        fields = call.params.get("fields")
        if not is_array(fields):
            raise RestError("100", "Could not find value for parameter {fields}")
        sent = as_map(fields)
        entity, number = php_text(sent.get("ENTITY_TYPE")).lower(), php_int(sent.get("ENTITY_ID"))
        text = php_text(sent.get("COMMENT"))
        if not text:
            raise RestError("", "Empty comment message")
        if entity not in ENTITY_TYPES or number not in self._portal.table(entity).rows:
            raise RestError("", "Not found")
        comments = self._portal.comments
        comments.append(
            Comment(
                id=len(comments) + 1,
                entity_type=entity,
                entity_id=number,
                text=text,
                author=call.user,
                created=self._portal.moments.now(),
            )
        )
        row = self._portal.table(entity).rows[number]
        row.values["LAST_ACTIVITY_TIME"] = self._portal.moments.now()
        return Result(value=len(comments))

    def _profile(self, call: Call) -> Result:
        value = {"ID": str(call.user), "ADMIN": self._portal.switches.is_admin, "NAME": "Sync", "LAST_NAME": "Bot"}
        zone = {"PERSONAL_GENDER": "", "TIME_ZONE": "", "TIME_ZONE_OFFSET": 0}
        return Result(value={**value, **zone})

    def _scope(self, call: Call) -> Result:
        every = ["crm", "user_brief", "user_basic", "user", "userconsent", "userfieldconfig", "bizproc"]
        is_full = php_text(call.params.get("full")).lower() in ("1", "true", "y")
        return Result(value=every if is_full else list(self._portal.switches.scopes))

    def _method(self, call: Call) -> Result:
        exists = self._exists(php_text(call.params.get("name")))
        return Result(value={"isExisting": exists, "isAvailable": exists})

    def _feature(self, call: Call) -> Result:
        code = php_text(param(call.params, "code"))
        if not code:
            raise RestError("CODE_EMPTY", "CODE can't be empty")
        return Result(value={"value": "N"})

    def _app(self, call: Call) -> Result:
        if call.is_webhook:
            return Result(value={"SCOPE": list(self._portal.switches.scopes), "LICENSE": "en_basic"})
        return Result(value={"ID": "1", "CODE": "local.optsync", "VERSION": "1", "STATUS": "L", "INSTALLED": True})


def _status(number: int, entity: str, word: str, label: str) -> dict[str, Any]:
    return {
        "ID": str(number),
        "ENTITY_ID": entity,
        "STATUS_ID": word,
        "NAME": label,
        "NAME_INIT": label,
        "SORT": str(number * 10),
        "SYSTEM": "N",
        "COLOR": "",
        "SEMANTICS": None,
        "CATEGORY_ID": "0",
        "EXTRA": [],
    }
