"""Karpenter's objects, from the catalogue to what its CRDs accept."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import environment_names, load
from llm_constructs.node_pools import NodeSite, node_class, node_pool
from llm_constructs.specs.accelerators import INSTANCE_TYPES
from llm_constructs.specs.instance_type import (
    DEVICE_RESOURCES,
    EFA_RESOURCE,
    CapacityOption,
    DeviceKind,
    InstanceType,
)
from llm_constructs.specs.karpenter_pool import CapacityType, KarpenterPool, Workload
from llm_constructs.specs.problem import SpecificationError
from tests.constructs.custom_resources import CRDS, schemas

SITE = NodeSite(
    instance_profile="nodes",
    security_group_ids=("sg-1", "sg-2"),
    subnet_ids={"us-east-2a": "subnet-a", "us-east-2b": "subnet-b", "us-east-2c": "subnet-c"},
    accelerator_subnet_id="subnet-f",
    volume_key_arn="arn:aws:kms:us-east-2:111111111111:key/1",
    tags={"owner": "ml"},
)
ON_DEMAND = [
    row
    for row in INSTANCE_TYPES.values()
    if CapacityOption.ON_DEMAND in row.capacity_options and not row.ultraserver_sizes
]


def pool_of(row: InstanceType, **settings: Any) -> KarpenterPool:
    limit = {"max_devices": 64} if row.accelerator_count else {"max_vcpus": 1024}
    return KarpenterPool(
        name="pool",
        instance_types=(row.name,),
        capacity_types=(CapacityType.ON_DEMAND,),
        ami_version="v20261110",
        **{**limit, **settings},
    )


def environments_pools() -> Iterator[KarpenterPool]:
    for name in environment_names():
        table = load(name).eks
        yield from table.pools if table else ()


def requirement(pool: dict[str, Any], key: str) -> list[str]:
    (values,) = [
        entry["values"]
        for entry in pool["spec"]["template"]["spec"]["requirements"]
        if entry["key"] == key
    ]
    return list(values)


@given(row=st.sampled_from(ON_DEMAND))
def test_a_pod_that_fills_a_node_fits_the_pool_of_its_type(row: InstanceType) -> None:
    pool = pool_of(row)
    made: Any = node_pool(pool)
    requested = row.resources(efa=False)
    assert row.name in requirement(made, "node.kubernetes.io/instance-type")
    assert requirement(made, "kubernetes.io/arch") == [row.architecture]
    tolerated = {key for key in requested if key in DEVICE_RESOURCES.values()}
    assert {taint["key"] for taint in made["spec"]["template"]["spec"]["taints"]} <= tolerated
    for key, count in requested.items():
        assert int(made["spec"]["limits"][key]) >= count


@given(row=st.sampled_from([row for row in ON_DEMAND if row.efa]))
def test_an_efa_pool_lists_as_many_devices_as_its_pods_may_request(row: InstanceType) -> None:
    pool = pool_of(row, efa=True, zones=("us-east-2b",))
    made: Any = node_class(pool, SITE)
    interfaces = made["spec"]["networkInterfaces"]
    kinds = [interface["interfaceType"] for interface in interfaces]
    assert kinds.count("efa-only") == row.resources(efa=True)[EFA_RESOURCE]
    assert interfaces[0] == {
        "networkCardIndex": 0,
        "deviceIndex": 0,
        "interfaceType": "interface",
    }
    assert made["spec"]["subnetSelectorTerms"] == [{"id": "subnet-f"}]


@given(row=st.sampled_from(ON_DEMAND))
def test_local_disks_hold_containers_and_every_root_volume_is_encrypted(row: InstanceType) -> None:
    made: Any = node_class(pool_of(row), SITE)
    assert (made["spec"].get("instanceStorePolicy") == "RAID0") == bool(row.local_nvme_gb)
    (volume,) = made["spec"]["blockDeviceMappings"]
    assert volume["ebs"]["encrypted"] is True
    assert volume["ebs"]["kmsKeyID"] == SITE.volume_key_arn


def test_images_are_pulled_in_parallel_onto_local_disks() -> None:
    made: Any = node_class(pool_of(INSTANCE_TYPES["g6e.2xlarge"], fast_image_pull=True), SITE)
    assert made["spec"]["instanceStorePolicy"] == "RAID0"
    assert '"featureGates": {"FastImagePull": true}' in made["spec"]["userData"]
    without: Any = node_class(pool_of(INSTANCE_TYPES["g6e.2xlarge"]), SITE)
    assert "userData" not in without["spec"]


@pytest.mark.parametrize("name", ["m7g.large", "inf2.24xlarge"])
def test_images_are_not_pulled_in_parallel_onto_a_slow_root_volume(name: str) -> None:
    with pytest.raises(SpecificationError, match=r"fast_image_pull .* set fast_image_pull = false"):
        pool_of(INSTANCE_TYPES[name], fast_image_pull=True)


def test_pods_cannot_reach_the_nodes_credentials() -> None:
    made: Any = node_class(pool_of(INSTANCE_TYPES["m7g.large"]), SITE)
    assert made["spec"]["metadataOptions"] == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
    }


def test_the_image_is_pinned_and_a_pool_without_zones_uses_every_subnet() -> None:
    made: Any = node_class(pool_of(INSTANCE_TYPES["m7g.large"]), SITE)
    assert made["spec"]["amiSelectorTerms"] == [{"alias": "al2023@v20261110"}]
    assert [term["id"] for term in made["spec"]["subnetSelectorTerms"]] == [
        *("subnet-a", "subnet-b", "subnet-c")
    ]


def test_running_training_is_never_disrupted() -> None:
    row = INSTANCE_TYPES["p5en.48xlarge"]
    made: Any = node_pool(pool_of(row, workload=Workload.TRAINING))
    disruption = made["spec"]["disruption"]
    assert disruption["consolidationPolicy"] == "WhenEmpty"
    assert {"nodes": "0", "reasons": ["Drifted", "Underutilized"]} in disruption["budgets"]
    assert made["spec"]["template"]["spec"]["expireAfter"] == "Never"


def test_other_nodes_expire_when_they_are_told_to() -> None:
    made: Any = node_pool(pool_of(INSTANCE_TYPES["m7g.large"], expire_after_hours=336, weight=7))
    assert made["spec"]["template"]["spec"]["expireAfter"] == "336h"
    assert made["spec"]["weight"] == 7


def test_reservations_come_first_and_are_named() -> None:
    pool = KarpenterPool(
        name="reserved",
        instance_types=("p5en.48xlarge",),
        capacity_types=(CapacityType.RESERVED, CapacityType.ON_DEMAND),
        reservation_ids=("cr-0123456789abcdef0",),
        max_devices=16,
        ami_version="v20261110",
    )
    made: Any = node_class(pool, SITE)
    assert made["spec"]["capacityReservationSelectorTerms"] == [{"id": "cr-0123456789abcdef0"}]
    assert requirement(dict(node_pool(pool)), "karpenter.sh/capacity-type") == [
        *("reserved", "on-demand")
    ]


@pytest.mark.skipif(CRDS is None, reason="KUBERNETES_CRDS names no folder with Karpenter's CRDs")
def test_karpenters_schemas_accept_every_type_and_every_environments_pools() -> None:
    pools = [*environments_pools(), *(pool_of(row) for row in ON_DEMAND)]
    pools += [pool_of(row, efa=True, zones=("us-east-2b",)) for row in ON_DEMAND if row.efa]
    site = NodeSite(
        **{**SITE.__dict__, "subnet_ids": {**SITE.subnet_ids, "us-west-2a": "subnet-w"}}
    )
    for pool in pools:
        for made in (node_class(pool, site, placement_group="group"), node_pool(pool)):
            schema = schemas()[made["kind"]]
            jsonschema.Draft202012Validator(schema).validate(made)


@pytest.mark.skipif(CRDS is None, reason="KUBERNETES_CRDS names no folder with Karpenter's CRDs")
def test_karpenters_schemas_refuse_what_they_do_not_know() -> None:
    made: Any = node_pool(pool_of(INSTANCE_TYPES["m7g.large"]))
    made["spec"]["consolidation"] = True
    with pytest.raises(jsonschema.ValidationError, match="consolidation"):
        jsonschema.Draft202012Validator(schemas()["NodePool"]).validate(made)


def test_every_environments_pools_have_limits() -> None:
    pools = list(environments_pools())
    assert pools
    for pool in pools:
        made: Any = node_pool(pool)
        assert made["spec"]["limits"]
        assert pool.device_kind is DeviceKind.NONE or "cpu" not in made["spec"]["limits"]
