"""Which methods exist, what scope they need, whether they write."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from optsync_bitrix24.mocking.account import Account
from optsync_bitrix24.mocking.answers import RestError, Result
from optsync_bitrix24.mocking.catalogue import ENTITY_TYPES
from optsync_bitrix24.mocking.classic import Classic
from optsync_bitrix24.mocking.duplicates import Duplicates
from optsync_bitrix24.mocking.items import Items
from optsync_bitrix24.mocking.php import words
from optsync_bitrix24.mocking.portal import Call, Portal
from optsync_bitrix24.mocking.userfields import UserFields

_APPLICATION_ONLY = words(
    "event.bind event.unbind event.get events event.test event.offline.get event.offline.list event.offline.clear "
    "event.offline.error placement.bind placement.unbind placement.get placement.list crm.automation.trigger.add "
    "crm.automation.trigger.list crm.automation.trigger.execute crm.automation.trigger.delete"
)
_FOREIGN = "Die Aktion ist fehlgeschlagen.<br>"
_WRITES = ("add", "update", "delete", "mergebatch", "import", "batchimport")


class Method(NamedTuple):
    """``scope`` is empty where none is needed."""

    run: Callable[[Call], Result]
    scope: str = "crm"


@lru_cache(maxsize=256)
def is_writing(name: str) -> bool:
    """Whether a method of that name changes the portal's data."""
    return name.lower().rpartition(".")[2] in _WRITES


class Methods:
    """The methods of one portal, by lower-case name."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._known: dict[str, Method] = {}
        for entity in ENTITY_TYPES:
            self._offer(f"crm.{entity}.", Classic(portal, entity), "fields list get add update delete")
            self._offer(f"crm.{entity}.userfield.", UserFields(portal, entity), "add list get update delete")
        self._offer("crm.item.", Items(portal), "fields list get add update delete")
        duplicates = Duplicates(portal)
        self._known["crm.duplicate.findbycomm"] = Method(run=duplicates.find)
        self._known["crm.entity.mergebatch"] = Method(run=duplicates.merge)
        account = Account(portal, self.names, self.exists)
        self._known["crm.status.list"] = Method(run=account.statuses)
        self._known["crm.timeline.comment.add"] = Method(run=account.comment)
        for name, run in account.general().items():
            self._known[name] = Method(run=run, scope="")

    def names(self) -> list[str]:
        return sorted({*self._known, *_APPLICATION_ONLY, "batch"})

    def exists(self, name: str) -> bool:
        return name.lower() in self.names()

    def run(self, name: str, call: Call) -> Result:
        """Carries a method out; ``name`` is lower-case."""
        if name in _APPLICATION_ONLY:
            if call.is_webhook:
                text = "Current authorization type is denied for this method"
                raise RestError("WRONG_AUTH_TYPE", text, status=403)
            raise RestError("ACCESS_DENIED", "Access denied!", status=403)
        method = self._known.get(name)
        if method is None:
            raise RestError("ERROR_METHOD_NOT_FOUND", "Method not found!", status=404)
        if method.scope and method.scope not in self._portal.switches.scopes:
            text = "The request requires higher privileges than provided by the webhook token"
            raise RestError("insufficient_scope", text, status=self._portal.switches.missing_scope_status)
        try:
            return method.run(call)
        except RestError as error:
            if self._portal.switches.language != "english":
                error.text = _FOREIGN
            raise

    def _offer(self, prefix: str, owner: object, verbs: str) -> None:
        for verb in verbs.split():
            self._known[f"{prefix}{verb}"] = Method(run=getattr(owner, "find" if verb == "list" else verb))
