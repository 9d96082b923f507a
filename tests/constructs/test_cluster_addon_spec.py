"""The pins of the cluster's add-ons are those of the templates."""

import pytest

from config import environment_names, load
from llm_constructs.specs.cluster_addon import cluster_addons
from tests.assembly import Assembly

WITH_CLUSTER = [name for name in environment_names() if load(name).eks is not None]


@pytest.mark.synth
@pytest.mark.parametrize("name", WITH_CLUSTER)
def test_every_pin_is_installed_and_every_addon_of_the_cluster_is_pinned(
    name: str, assembly: Assembly
) -> None:
    environment = load(name)
    assert environment.eks is not None
    installed = {
        (resource["Properties"]["AddonName"], resource["Properties"]["AddonVersion"])
        for resource in assembly.templates[f"llm-{name}-eks"]["Resources"].values()
        if resource["Type"] == "AWS::EKS::Addon"
    }
    pinned = cluster_addons(
        environment.eks.cluster,
        has_file_system=environment.lustre is not None,
        mounts_models=bool(environment.eks.controllers.mounted_models),
    )
    assert installed == {(addon.name, addon.version) for addon in pinned}
