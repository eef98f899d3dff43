"""Two small connectors that can be configured, so that these tests need none of the real ones."""

from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import pytest
from pydantic import Field, SecretStr, field_validator

from optsync.connect import handlers, registry
from optsync.connect.contract import Capabilities
from optsync.connect.settings import CrmSide, EspSide, SystemSettings
from optsync.model.record import Side


class DeskSettings(SystemSettings):
    hook: SecretStr = Field(description="The address with its secret.")
    pace: float = Field(default=2.0, gt=0, description="Requests a second.")


class DeskSide(CrmSide):
    pipeline: str | None = None


class Desk:
    name: ClassVar[str] = "desk"
    capabilities: ClassVar[Capabilities] = Capabilities(
        sides=frozenset({Side.CRM}), read_page=50, write_batch=50, write_shows_state=False, entities=("contact", "lead")
    )
    settings = DeskSettings
    crm_side = DeskSide
    esp_side = None


class PostSettings(SystemSettings):
    api_key: SecretStr
    base_url: str | None = None

    @field_validator("api_key")
    @classmethod
    def _quotes_what_it_was_given(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value().startswith("bad"):
            raise ValueError(f"expected another key than {value.get_secret_value()}")
        return value


class Post:
    name: ClassVar[str] = "post"
    capabilities: ClassVar[Capabilities] = Capabilities(
        sides=frozenset({Side.ESP}), read_page=1000, write_batch=500, write_shows_state=True
    )
    settings = PostSettings
    crm_side = None
    esp_side = EspSide


_VENDORS: dict[str, Any] = {"desk": Desk, "post": Post}


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes ``desk`` (a CRM), ``post`` (an ESP) and ``broken`` the installed connectors, ``tell`` the handler."""

    def points() -> dict[str, EntryPoint]:
        names = ("broken", *_VENDORS)
        return {name: EntryPoint(name=name, value=f"{name}:X", group=registry.CONNECTORS) for name in names}

    def load(name: str) -> Any:
        if name == "broken":
            raise registry.ConnectorBroken("connector broken (broken:X) cannot be imported: no module named lost")
        return _VENDORS[name]

    def own() -> dict[str, EntryPoint]:
        return {"tell": EntryPoint(name="tell", value="own:tell", group=handlers.HANDLERS)}

    monkeypatch.setattr(handlers, "installed", own)
    monkeypatch.setattr(registry, "installed", points)
    monkeypatch.setattr(registry, "load", load)
