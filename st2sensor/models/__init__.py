"""The system's nouns as frozen values: sensor types, triggers, rules, keys, leases. Their only logic is their names."""

from st2sensor.models.datastore import SYSTEM_SCOPE, USER_SCOPE, Batch, Change, KeyValue
from st2sensor.models.entities import Entity
from st2sensor.models.packs import CORE_PACK, Pack
from st2sensor.models.sensors import (
    DEFAULT,
    Expectation,
    Instance,
    Overrides,
    Registration,
    SensorType,
    Silence,
    class_of,
)
from st2sensor.models.sharing import Lease, Member, Renewal
from st2sensor.models.triggers import Refusal, Rule, Schema, TraceContext, Trigger, TriggerInstance, TriggerType

__all__ = [
    "CORE_PACK",
    "DEFAULT",
    "SYSTEM_SCOPE",
    "USER_SCOPE",
    "Batch",
    "Change",
    "Entity",
    "Instance",
    "Expectation",
    "KeyValue",
    "Lease",
    "Member",
    "Overrides",
    "Pack",
    "Refusal",
    "Registration",
    "Renewal",
    "Rule",
    "Schema",
    "SensorType",
    "Silence",
    "TraceContext",
    "Trigger",
    "TriggerInstance",
    "TriggerType",
    "class_of",
]
