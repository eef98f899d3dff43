"""From the configuration to what the engine works with: policies, and the sources they read."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from optsync.config.schema import Config, SyncConfig
from optsync.connect.contract import (
    Absence,
    CanArchive,
    CanRename,
    CanTellDepartures,
    Capabilities,
    Connector,
    OptInStamp,
)
from optsync.model.page import ReadSpec
from optsync.model.record import Side, Value
from optsync.model.scope import Purpose, contains
from optsync.model.statement import Strength
from optsync.reconcile.fields import Conflict, FieldRule
from optsync.reconcile.policy import CustomHandling, Enter, Inactive, Leave, SyncPolicy
from optsync.reconcile.representation import Representation
from optsync.reconcile.transforms import chain
from optsync.state.codec import dumps
from optsync.version import running

SourceKey = tuple[str, str]
"""System and collection."""
_Part = tuple[str, Side, ReadSpec, Representation]
"""What one sync needs of a source, its name first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBinding:
    """A collection with everything its syncs need from it. ``digest`` changes when the meaning of its readings
    does: the next read is then a first sight again."""

    system: str
    collection: str
    side: Side
    spec: ReadSpec
    digest: str
    absence: Absence
    syncs: tuple[str, ...]
    representations: tuple[Representation, ...]
    scopes: Mapping[str, str] = field(default_factory=dict)
    """Of every configured sync, by name."""
    tells_departures: bool = False
    """Whether the system can be asked for opt-outs that its records do not show any more."""
    fellows: tuple[str, ...] = ()
    """Syncs that do not read it and share an audience with one that does."""

    @property
    def concerned(self) -> tuple[str, ...]:
        """The syncs for which it matters who is there and has which address."""
        return (*self.syncs, *self.fellows)

    def hearers(self, scope: str) -> list[str]:
        """The syncs, of any source, in which a statement about ``scope`` can matter."""
        return [name for name, own in self.scopes.items() if contains(scope, own) or contains(own, scope)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """All syncs, ready to run."""

    policies: Mapping[str, SyncPolicy]
    sources: Mapping[SourceKey, SourceBinding]
    purposes: tuple[Purpose, ...] = field(default=())
    meanings: Mapping[str, str] = field(default_factory=dict)
    """By sync: what changes exactly when its readings mean something else."""
    decisions: Mapping[str, str] = field(default_factory=dict)
    """By sync: what changes when something else may be decided on the same readings."""

    def sources_of(self, sync: str) -> list[SourceBinding]:
        """Its CRM collections in owner order, then its audience."""
        policy = self.policies[sync]
        keys = [(policy.crm_system, c) for c in policy.crm_collections]
        return [self.sources[key] for key in (*keys, (policy.esp_system, policy.audience))]

    def fellows_of(self, sync: str) -> list[SyncPolicy]:
        """The other syncs of its audience."""
        policy = self.policies[sync]
        syncs = self.sources[policy.esp_system, policy.audience].syncs
        return [self.policies[name] for name in syncs if name != sync]


def bind(config: Config, connectors: Mapping[str, type[Connector]]) -> Bound:
    """``connectors`` by system name, of every system that a sync uses."""
    capabilities = {name: connector.capabilities for name, connector in connectors.items()}
    policies = {name: _policy(sync, config, connectors) for name, sync in config.syncs.items()}
    mapped = frozenset().union(*(policy.mapped_topics for policy in policies.values()))
    policies = {name: replace(p, is_mapped_topic=True) if p.scope in mapped else p for name, p in policies.items()}
    wanted: dict[SourceKey, list[_Part]] = {}
    for name, sync in config.syncs.items():
        policy = policies[name]
        for entity in sync.crm.entity:
            spec = _crm_spec(sync, entity)
            wanted.setdefault((sync.crm.system, entity), []).append((name, Side.CRM, spec, policy.crm))
        spec = _esp_spec(sync)
        wanted.setdefault((sync.esp.system, sync.esp.audience), []).append((name, Side.ESP, spec, policy.esp))
    scopes = {name: policy.scope for name, policy in policies.items()}
    digests = {name: sync.digest() for name, sync in config.syncs.items()}
    sources = {
        key: replace(
            _source(key, parts, capabilities[key[0]], digests),
            scopes=scopes,
            fellows=_fellows(parts, wanted, policies),
            tells_departures=issubclass(connectors[key[0]], CanTellDepartures),
        )
        for key, parts in wanted.items()
    }
    decisions = {name: _decided_by(config, name, policies[name]) for name in config.syncs}
    return Bound(policies=policies, sources=sources, purposes=config.purposes, meanings=digests, decisions=decisions)


def _fellows(
    parts: list[_Part], wanted: Mapping[SourceKey, list[_Part]], policies: Mapping[str, SyncPolicy]
) -> tuple[str, ...]:
    own = {part[0] for part in parts}
    audiences = sorted({(policies[name].esp_system, policies[name].audience) for name in own})
    sharing = dict.fromkeys(part[0] for audience in audiences for part in wanted[audience])
    return tuple(name for name in sharing if name not in own)


def _decided_by(config: Config, sync: str, policy: SyncPolicy) -> str:
    parts: dict[str, Any] = {
        "version": running(),
        "sync": config.syncs[sync].model_dump(mode="json", exclude={"every", "cron", "full"}),
        "purposes": [repr(purpose) for purpose in config.purposes],
        "consent": config.consent.model_dump(mode="json"),
        **({"is_mapped_topic": True} if policy.is_mapped_topic else {}),
    }
    return hashlib.sha256(dumps(parts).encode()).hexdigest()


def _source(
    key: SourceKey,
    parts: list[_Part],
    capabilities: Capabilities,
    digests: Mapping[str, str],
) -> SourceBinding:
    spec = ReadSpec(
        collection=key[1],
        fields=frozenset().union(*(p[2].fields for p in parts)),
        flags=frozenset().union(*(p[2].flags for p in parts)),
        topics=frozenset().union(*(p[2].topics for p in parts)),
        lists={name: where for p in parts for name, where in p[2].lists.items()},
    )
    representations = tuple(dict.fromkeys(p[3] for p in parts))
    meaning = dumps(
        {
            "fields": sorted(spec.fields),
            "topics": sorted(spec.topics),
            "lists": {name: dict(where) for name, where in spec.lists.items()},
            # What changes on one side of a sync makes the other side's next read a first sight, too.
            "syncs": sorted(digests[p[0]] for p in parts),
            "represents": [[r.scope, r.opt_out, r.opt_in, r.consent_date, list(r.topics)] for r in representations],
        }
    )
    return SourceBinding(
        system=key[0],
        collection=key[1],
        side=parts[0][1],
        spec=spec,
        digest=hashlib.sha256(meaning.encode()).hexdigest(),
        absence=capabilities.absence,
        syncs=tuple(p[0] for p in parts),
        representations=representations,
    )


def _crm_spec(sync: SyncConfig, entity: str) -> ReadSpec:
    crm = sync.crm
    named = (crm.opt_out, crm.opt_in, crm.bounce, crm.reason, crm.consent.date, crm.consent.source, crm.consent.text)
    fields = {name for name in named if name} | {rule.crm for rule in sync.fields}
    fields |= _handling(sync).all_fields
    for rule in sync.fields:
        for name, parameters in rule.transform:
            if name == "join":
                fields.update(parameters.get("with", ()))
    where = sync.filters().get(entity, {})
    return ReadSpec(
        collection=entity,
        fields=frozenset(fields),
        flags=frozenset(name for name in (crm.opt_out, crm.opt_in, crm.bounce) if name),
        topics=frozenset(crm.topics.values()),
        lists={sync.name: where} if where else {},
    )


def _esp_spec(sync: SyncConfig) -> ReadSpec:
    return ReadSpec(
        collection=sync.esp.audience,
        fields=frozenset(rule.esp for rule in sync.fields),
        topics=frozenset(sync.esp.topics.values()),
    )


def _policy(sync: SyncConfig, config: Config, connectors: Mapping[str, type[Connector]]) -> SyncPolicy:
    policy = sync.policy
    crm, esp = connectors[sync.crm.system], connectors[sync.esp.system]
    return SyncPolicy(
        name=sync.name,
        scope=sync.scope,
        purpose=config.purpose(sync.scope),
        crm_system=sync.crm.system,
        crm_collections=sync.crm.entity,
        esp_system=sync.esp.system,
        audience=sync.esp.audience,
        crm=_crm(sync),
        esp=_esp(sync, esp.capabilities, policy.existing == "legacy_grant"),
        has_list_scope=any(sync.filters().values()),
        outs_to_esp=sync.opt_out.crm_to_esp,
        outs_to_crm=sync.opt_out.esp_to_crm,
        enter=Enter(policy.enter),
        leave=Leave(policy.leave),
        inactive=Inactive(policy.inactive),
        inactive_after=config.consent.inactive_after,
        creates_in_crm=policy.esp_only == "create_in_crm",
        can_ask=esp.capabilities.can_ask,
        takes_back=esp.capabilities.takes_back_leavers,
        crm_defaults=_equalities(sync.filters().get(sync.crm.entity[0], {})),
        fields_after_opt_out=policy.after_opt_out == "continue",
        topics_first_sight_union=policy.topics_first_sight == "union",
        prefers_newest=policy.primary == "newest",
        carries_grants=policy.carry_grant == "with_evidence",
        renames_members=issubclass(esp, CanRename),
        archives_members=issubclass(esp, CanArchive),
        renames_records=issubclass(crm, CanRename),
        fields=_field_rules(sync),
        clock_tolerance=config.consent.clock_tolerance,
        soft_limit=config.consent.soft_bounces.limit,
        soft_within=config.consent.soft_bounces.within,
        handling=_handling(sync),
    )


def _handling(sync: SyncConfig) -> CustomHandling:
    return CustomHandling(
        on_opt_out=sync.on_opt_out,
        on_opt_in=sync.on_opt_in,
        handlers={handler.name: frozenset(handler.fields) for handler in sync.handlers},
    )


def _field_rules(sync: SyncConfig) -> tuple[FieldRule, ...]:
    return tuple(
        FieldRule(
            crm=rule.crm,
            esp=rule.esp,
            to_esp=rule.to_esp,
            to_crm=rule.to_crm,
            conflict=Conflict(rule.conflict),
            clears=rule.blank == "clear",
            transform=chain(rule.transform),
        )
        for rule in sync.fields
    )


def _strength(setting: str) -> Strength:
    return Strength.TRUSTED if setting == "trusted" else Strength.NOTHING


def _topic_pairs(sync: SyncConfig, names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((f"{sync.scope}/{topic}", name) for topic, name in sorted(names.items()))


def _crm(sync: SyncConfig) -> Representation:
    crm = sync.crm
    return Representation(
        side=Side.CRM,
        scope=sync.scope,
        opt_out=crm.opt_out,
        opt_in=crm.opt_in,
        consent_date=crm.consent.date,
        consent_source=crm.consent.source,
        consent_text=crm.consent.text,
        bounce=crm.bounce,
        reason=crm.reason,
        topics=_topic_pairs(sync, crm.topics),
        status_grants=_strength(crm.grants.status),
        topic_grants=_strength(crm.grants.topics),
    )


def _esp(sync: SyncConfig, capabilities: Capabilities, existing_is_grant: bool) -> Representation:
    esp = sync.esp
    return Representation(
        side=Side.ESP,
        scope=sync.scope,
        topics=_topic_pairs(sync, esp.topics),
        status_grants=_strength(esp.grants.status),
        topic_grants=_strength(esp.grants.topics),
        existing_is_grant=existing_is_grant,
        stamp_is_evidence=capabilities.opt_in_stamp is OptInStamp.EVIDENCE,
        stamp_nominates=capabilities.opt_in_stamp is OptInStamp.NOMINATES,
    )


def _equalities(where: Mapping[str, Any]) -> dict[str, Value]:
    """The values that a new record must have to belong to the list scope."""
    return {key.lstrip("="): value for key, value in where.items() if isinstance(value, str | int | float | bool)}
