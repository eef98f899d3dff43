"""The whole configuration file as models. What needs more than one key to judge is in :mod:`optsync.config.checks`."""

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, SecretStr, SerializeAsAny, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from optsync.config.duration import Duration
from optsync.config.parts import (
    Brand,
    ConsentRules,
    FieldRule,
    Guard,
    HandlerEntry,
    Log,
    Policy,
    Setting,
    State,
    Travel,
    Web,
)
from optsync.config.schedule import checked_cron
from optsync.connect.settings import CrmSide, EspSide, Settings, SystemSettings
from optsync.model.scope import Purpose, purpose_of

DEFAULT_SCOPE = "default/marketing"


class SyncConfig(Settings):
    """One pair: a CRM list and an ESP audience."""

    scope: str = Field(
        default=DEFAULT_SCOPE, description="brand/purpose that the audience's subscribed or unsubscribed stands for."
    )
    cron: str | None = Field(default=None, description="When to run, in the five fields of crontab, UTC.")
    every: Duration | None = Field(
        default_factory=lambda before: None if before.get("cron") else timedelta(minutes=5),
        description="How often to run; or `cron`. Default 5m.",
    )
    full: Duration = Field(default=timedelta(hours=24), description="How often everything is compared.")
    crm: SerializeAsAny[CrmSide]
    esp: SerializeAsAny[EspSide]
    opt_out: Travel = Travel()
    on_opt_out: Mapping[str, Mapping[str, Setting]] = Field(
        default_factory=dict, description="Scope -> CRM fields to set once when somebody's standing there becomes out."
    )
    on_opt_in: Mapping[str, Mapping[str, Setting]] = Field(
        default_factory=dict, description="Scope -> CRM fields to set once when somebody's standing there becomes in."
    )
    handlers: tuple[HandlerEntry, ...] = Field(
        default=(), description="Installed handlers to call after an opt-out or opt-in: names, or name and fields."
    )
    policy: Policy = Policy()
    fields: tuple[FieldRule, ...] = ()
    _name: str = PrivateAttr(default="")

    @field_validator("cron")
    @classmethod
    def _is_a_crontab(cls, value: str | None) -> str | None:
        return value if value is None else checked_cron(value)

    @field_validator("every", "full")
    @classmethod
    def _passes(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value < timedelta(seconds=1):
            raise ValueError("a length of time of at least 1s")
        return value

    @property
    def name(self) -> str:
        """Its key under ``syncs:``."""
        return self._name

    def named(self, name: str) -> Self:
        """The same sync under that name."""
        copy = self.model_copy()
        copy._name = name  # noqa: SLF001 - its own
        return copy

    @property
    def topics(self) -> tuple[str, ...]:
        """Names of the topics that travel: those mapped on both sides, sorted."""
        return tuple(sorted(self.crm.topics.keys() & self.esp.topics.keys()))

    def filters(self) -> Mapping[str, Mapping[str, Any]]:
        """The list scope of each entity; an empty filter is everybody."""
        where = self.crm.where
        if len(self.crm.entity) > 1 or (set(where) == set(self.crm.entity) and _are_filters(where)):
            return {entity: dict(where.get(entity, {})) for entity in self.crm.entity}
        return {self.crm.entity[0]: dict(where)}

    def digest(self) -> str:
        """Changes exactly when the meaning of readings does: scope, flags, topics, fields, list scope, audience."""
        crm = self.crm.model_dump(mode="json", exclude={"grants", "where"})
        esp = self.esp.model_dump(mode="json", exclude={"grants"})
        fields = sorted([rule.crm, rule.esp, rule.transform] for rule in self.fields)
        meaning = {"scope": self.scope, "crm": crm, "esp": esp, "where": self.filters(), "fields": fields}
        return hashlib.sha256(json.dumps(meaning, sort_keys=True, default=str).encode()).hexdigest()


def _are_filters(where: Mapping[str, Any]) -> bool:
    return all(isinstance(value, Mapping) for value in where.values())


class Config(BaseSettings):
    """The whole file, checked. Made by :func:`optsync.config.load.load`."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="OPTSYNC_", env_nested_delimiter="__", hide_input_in_errors=True
    )

    state: State = State()
    secret_keys: tuple[Annotated[SecretStr, Field(min_length=8)], ...] = Field(
        default=(),
        description="The first signs and hashes, all verify; made and kept beside an SQLite database when left out.",
    )
    brands: Mapping[str, Brand] | None = Field(
        default=None, description="Default: brand `default` with the commercial purpose `marketing`, basis consent."
    )
    systems: Mapping[str, SerializeAsAny[SystemSettings]] = Field(description="The connected accounts, by name.")
    syncs: dict[str, SyncConfig] = Field(description="The pairs to keep in agreement, by name.")
    consent: ConsentRules = ConsentRules()
    guard: Guard = Guard()
    web: Web = Web()
    log: Log = Log()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The loader brings the environment in itself: it must know where each value came from."""
        return (init_settings,)

    @field_validator("syncs")
    @classmethod
    def _know_their_names(cls, syncs: dict[str, SyncConfig]) -> dict[str, SyncConfig]:
        return {name: sync.named(name) for name, sync in syncs.items()}

    @property
    def purposes(self) -> tuple[Purpose, ...]:
        """All purposes of all brands, the default one where no brands are given."""
        if self.brands is None:
            return (Purpose(scope=DEFAULT_SCOPE, topics=self._mapped_topics()),)
        return tuple(
            Purpose(scope=f"{brand}/{name}", kind=purpose.kind, basis=purpose.basis, topics=purpose.topics)
            for brand, settings in self.brands.items()
            for name, purpose in settings.purposes.items()
        )

    def purpose(self, scope: str) -> Purpose:
        """The purpose a scope lies in.

        Raises:
            KeyError: none does, or it lies above all purposes.
        """
        return {purpose.scope: purpose for purpose in self.purposes}[purpose_of(scope) or scope]

    def _mapped_topics(self) -> tuple[str, ...]:
        within = [sync for sync in self.syncs.values() if purpose_of(sync.scope) == DEFAULT_SCOPE]
        mapped = {topic for sync in within for topic in (*sync.crm.topics, *sync.esp.topics)}
        own = {sync.scope.split("/")[2] for sync in within if sync.scope.count("/") == 2}
        return tuple(sorted(mapped | own))
