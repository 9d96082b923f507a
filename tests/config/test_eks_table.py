"""What an environment's file may say about its cluster, and how it is refused."""

from pathlib import Path

import pytest

from config import environment_names, load
from llm_constructs.specs.network import Capability
from tests.minimal_environment import MINIMAL_WITH_ACCELERATORS, loaded, problems_of

HEAD = MINIMAL_WITH_ACCELERATORS

POOL = """
[[eks.pools]]
name = "training"
instance_types = ["p5en.48xlarge"]
zones = ["us-east-2b"]
efa = true
max_devices = 16
ami_version = "v20261110"
"""

BLOCK = """
[[eks.groups]]
name = "block"
instance_type = "trn2.48xlarge"
nodes = 2
zone = "us-east-2b"
ami_release = "1.36.2-20261110"

[eks.groups.capacity_block]
reservation_id = "cr-0123456789abcdef0"
start = 2027-01-11T11:30:00Z
end = 2027-01-25T11:30:00Z
"""


def test_a_cluster_needs_one_line(tmp_path: Path) -> None:
    environment = loaded(tmp_path, f"{HEAD}[eks]\n")
    assert environment.eks is not None
    assert not environment.eks.pools
    assert not environment.eks.groups
    assert Capability.EKS in environment.capabilities


def test_pools_and_reserved_groups_are_read(tmp_path: Path) -> None:
    table = loaded(tmp_path, f"{HEAD}{POOL}{BLOCK}").eks
    assert table is not None
    assert table.pools[0].efa is True
    assert table.groups[0].schedule is not None


@pytest.mark.parametrize("gateways", ["closed", "none"])
def test_a_network_without_a_way_out_has_no_charts(tmp_path: Path, gateways: str) -> None:
    told = problems_of(tmp_path, f'{HEAD}nat_gateways = "{gateways}"\n[eks]\n')
    assert f"network.vpc.nat_gateways = '{gateways}'" in told
    assert (
        'Choose "one" or "one-per-zone", or take them from the account with [eks.mirror].' in told
    )


def test_efa_outside_the_accelerator_zone_is_refused_with_its_place_in_the_file(
    tmp_path: Path,
) -> None:
    told = problems_of(tmp_path, HEAD + POOL.replace("us-east-2b", "us-east-2a"))
    assert "eks.pools.training.zones = 'us-east-2a'" in told
    assert "The accelerator subnet lies in us-east-2b." in told


def test_a_type_that_the_region_does_not_have_is_refused(tmp_path: Path) -> None:
    head = HEAD.replace("us-east-2", "us-west-2")
    told = problems_of(tmp_path, head + BLOCK.replace("us-east-2", "us-west-2"))
    assert "trn2.48xlarge" in told
    assert "us-west-2" in told


@pytest.mark.parametrize(
    ("release", "sentence"),
    [
        ("1.36.2-20261110", None),
        # While the control plane is newer, after an upgrade.
        ("1.33.2-20261110", None),
        ("1.32.2-20261110", "are of 1.33 to 1.36"),
        ("1.37.0-20261110", "Give a release of 1.36."),
    ],
)
def test_nodes_are_as_old_as_the_control_plane_bears(
    tmp_path: Path, release: str, sentence: str | None
) -> None:
    text = HEAD + BLOCK.replace("1.36.2-20261110", release)
    if sentence is None:
        assert loaded(tmp_path, text).eks
    else:
        told = problems_of(tmp_path, text)
        assert f"eks.groups.block.ami_release = '{release}'" in told
        assert sentence in told


def test_every_wrong_pool_and_group_is_told_at_once(tmp_path: Path) -> None:
    told = problems_of(
        tmp_path,
        HEAD + POOL.replace("max_devices = 16\n", "") + BLOCK.replace("nodes = 2", "nodes = 0"),
    )
    assert "eks.pools.0.max_devices" in told
    assert "eks.groups.0.nodes" in told


def test_a_reservation_belongs_to_one_group(tmp_path: Path) -> None:
    told = problems_of(tmp_path, HEAD + BLOCK + BLOCK.replace('"block"', '"other"'))
    assert "eks.groups = 'cr-0123456789abcdef0'" in told


def test_every_environment_has_a_cluster_whose_network_reaches_registries() -> None:
    # An emulator has no Kubernetes API (docs/adr/0044).
    for name in set(environment_names()) - {"local"}:
        environment = load(name)
        assert environment.eks is not None
        assert environment.network.vpc is not None
        assert str(environment.network.vpc.nat_gateways) in {"one", "one-per-zone"}


TEAM = """
[[eks.teams]]
name = "research"
namespaces = ["training"]
quotas = [{ pool = "training", devices = 16 }]
"""


def test_teams_share_what_pools_can_give(tmp_path: Path) -> None:
    table = loaded(tmp_path, f"{HEAD}{POOL}{TEAM}").eks
    assert table is not None
    (supply,) = table.team_plan().used_supplies
    assert (supply.name, supply.devices) == ("training", 16)


@pytest.mark.parametrize(
    ("replaced", "by", "told"),
    [
        ("devices = 16", "devices = 17", "eks.teams.quotas.training.devices = 17"),
        ('pool = "training"', 'pool = "h100"', "eks.teams.research.quotas = 'h100'"),
        ('["training"]', '["default"]', "eks.teams.research.namespaces = 'default'"),
        ('"research"', '"Research!"', "eks.teams.0.name = 'Research!'"),
    ],
)
def test_quotas_that_cannot_be_met_are_refused_with_their_place_in_the_file(
    tmp_path: Path, replaced: str, by: str, told: str
) -> None:
    assert told in problems_of(tmp_path, HEAD + POOL + TEAM.replace(replaced, by))


def test_metrics_of_gpus_need_a_workspace(tmp_path: Path) -> None:
    told = problems_of(
        tmp_path,
        f'{HEAD}[eks.cluster]\ngpu_monitoring = "prometheus"\n[eks.prometheus]\nenabled = false\n',
    )
    assert "eks.cluster.gpu_monitoring = 'prometheus'" in told


def test_a_region_without_scrapers_has_no_workspace(tmp_path: Path) -> None:
    head = HEAD.replace("us-east-2", "us-gov-west-1").replace('"us"', '"us-gov"')
    told = problems_of(tmp_path, f"{head}[eks]\n")
    assert "eks.prometheus.enabled = True" in told
    assert "Write enabled = false in [eks.prometheus]" in told


def test_models_are_mounted_from_a_lake(tmp_path: Path) -> None:
    told = problems_of(tmp_path, f'{HEAD}[eks.controllers]\nmounted_models = ["llama"]\n')
    assert "eks.controllers.mounted_models = ['llama']" in told
    assert "Add a [data] table" in told


@pytest.mark.parametrize(
    ("name", "topology"), [("inf2.xlarge", False), ("inf2.24xlarge", True), ("g6e.12xlarge", False)]
)
def test_neighbouring_devices_matter_where_a_node_has_several(
    tmp_path: Path, name: str, topology: bool
) -> None:
    pool = f"""
[[eks.pools]]
name = "devices"
instance_types = ["{name}"]
max_devices = 16
ami_version = "v20261110"
"""
    table = loaded(tmp_path, f"{HEAD}{pool}").eks
    assert table is not None
    assert table.needs_neuron_topology is topology
