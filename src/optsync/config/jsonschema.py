"""The JSON Schema of the file, with the settings of every installed connector."""

from typing import Any

from pydantic import BaseModel

from optsync.config import installed
from optsync.config.schema import Config
from optsync.connect.contract import Connector
from optsync.connect.settings import CrmSide, EspSide

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """For editors: an entry of ``systems`` is one of the installed connectors' settings, told apart by ``connector``.

    A connector that cannot be imported is left out.
    """
    schema = Config.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = schema["$defs"]
    connectors = installed.connectors()
    systems = [_settings(name, connector, definitions) for name, connector in connectors.items()]
    schema["properties"]["systems"]["additionalProperties"] = {"oneOf": systems}
    sides = definitions["SyncConfig"]["properties"]
    sides["crm"] = {"anyOf": _sides([c.crm_side for c in connectors.values()], CrmSide, definitions)}
    sides["esp"] = {"anyOf": _sides([c.esp_side for c in connectors.values()], EspSide, definitions)}
    return {"$schema": _DIALECT, "title": "optsync configuration", **schema}


def _settings(name: str, connector: type[Connector], definitions: dict[str, Any]) -> dict[str, Any]:
    schema = _hoisted(connector.settings, definitions)
    schema["properties"]["connector"] = {"const": name, "description": "Name of the connector."}
    schema["title"] = name
    return schema


def _sides(models: list[Any], base: type[BaseModel], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    different = {model.__name__: model for model in models if model is not None} or {base.__name__: base}
    return [_hoisted(model, definitions) for model in different.values()]


def _hoisted(model: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    """The model's schema, its own definitions moved to those of the whole."""
    schema = model.model_json_schema(by_alias=True)
    definitions.update(schema.pop("$defs", {}))
    return schema
