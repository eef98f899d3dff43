"""What a configuration says about a system and about the side it plays; connectors extend these models."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Strength = Literal["evidence", "trusted"]


class Settings(BaseModel):
    """Unknown keys are errors; values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SystemSettings(Settings):
    """An entry of ``systems:``. Secrets are ``SecretStr``."""

    connector: str = Field(description="Name of an installed connector; `optsync connectors` lists them.")


class GrantSettings(Settings):
    """Whether a value that turns permissive on this side is the person's own doing."""

    status: Strength = "evidence"
    topics: Strength = "evidence"


class ConsentFields(Settings):
    """Fields that hold the proof of a consent."""

    date: str | None = None
    source: str | None = None
    text: str | None = None


class SideSettings(Settings):
    """What both sides of a sync have in common."""

    system: str = Field(description="Name of an entry of `systems:`.")
    topics: Mapping[str, str] = Field(default_factory=dict, description="Topic name -> the vendor's field or interest.")
    grants: GrantSettings = GrantSettings()


class CrmSide(SideSettings):
    """The ``crm:`` side of a sync."""

    entity: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        default=("contact",), description="One entity or a list of them."
    )
    where: Mapping[str, Any] = Field(
        default_factory=dict,
        description="The list scope in the CRM's own filter terms; with several entities a map entity -> filter.",
    )
    opt_out: str | None = Field(default=None, description="Boolean field, true = opted out.")
    opt_in: str | None = Field(default=None, description="Boolean field, true = opted in.")
    consent: ConsentFields = ConsentFields()
    bounce: str | None = Field(default=None, description="Boolean marker, written when the address bounces hard.")
    reason: str | None = Field(default=None, description="Text field, written with the reason of an opt-out.")

    @field_validator("entity", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class EspSide(SideSettings):
    """The ``esp:`` side of a sync."""

    audience: str = Field(description="The vendor's id of the audience or list.")
