"""Which registries, accounts and expectations are refused, and what is rendered of the rest."""

import json
import tomllib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from llm_constructs.specs.accelerators import INSTANCE_TYPES
from llm_constructs.specs.instance_type import DeviceKind
from llm_constructs.specs.lifecycle import (
    EfaLustreClient,
    Lifecycle,
    PackageFloor,
    SlurmAccount,
    UnixGroup,
    UnixUser,
)
from llm_constructs.specs.lifecycle_settings import (
    ExpectedMount,
    LifecycleSettings,
    NodeExpectation,
    NodeRole,
)
from llm_constructs.specs.problem import SpecificationError

ADA = UnixUser(name="ada", uid=2000)
ZIP = "s3://artifacts/configure-efa-fsx-lustre-client.zip"


def account(name: str, **fields: Any) -> SlurmAccount:
    return SlurmAccount(name=name, description="Pretraining", organization="research", **fields)


def expectation(group: str = "workers") -> NodeExpectation:
    return NodeExpectation(group=group, role=NodeRole.COMPUTE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UnixUser(name="Ada", uid=2000), "Use letters, digits"),
        (lambda: UnixUser(name="root", uid=2000), "root exists"),
        (lambda: UnixUser(name="ada", uid=1000), "uid = 1000: .* Choose 2000 to 59999."),
        (lambda: UnixGroup(name="research", gid=60000), "gid = 60000: .* Choose 2000 to 59999."),
        (lambda: account("Research"), "Slurm keeps lower-case names"),
        (lambda: account("root"), "root is its own"),
        (lambda: account("research", fairshare=0), "never gets a node"),
        (
            lambda: SlurmAccount(name="a", description='say "x"', organization="b"),
            "without quotes and line breaks",
        ),
        (
            lambda: EfaLustreClient(source="https://example.com/a.zip", sha256="0" * 64),
            "Nodes have no way to the internet",
        ),
        (lambda: EfaLustreClient(source=ZIP, sha256="ABC"), "sha256sum"),
        (lambda: PackageFloor(package="neuron tools", version="2"), "no name of a package"),
        (lambda: PackageFloor(package="aws-neuronx-tools", version="2.24-1"), "digits and dots"),
        (
            lambda: Lifecycle(users=(ADA, UnixUser(name="grace", uid=2000))),
            "users = 2000: It is given 2 times",
        ),
        (
            lambda: Lifecycle(users=(ADA,), unix_groups=(UnixGroup(name="research", gid=2000),)),
            "unix_groups = 2000: It is given 2 times",
        ),
        (
            lambda: Lifecycle(users=(ADA,), unix_groups=(UnixGroup(name="ada", gid=3000),)),
            "unix_groups = 'ada': It is given 2 times",
        ),
        (
            lambda: Lifecycle(users=(UnixUser(name="ada", uid=2000, groups=("research",)),)),
            "users.ada.groups = .* They are not in unix_groups",
        ),
        (
            lambda: Lifecycle(accounts=(account("research", users=("ada",)),)),
            "accounts.research.users = .* They are not in users",
        ),
        (
            lambda: Lifecycle(accounts=(account("a", parent="b"), account("b", parent="a"))),
            "without going round in a circle",
        ),
        (lambda: Lifecycle(accounts=(account("a", parent="z"),)), "It leads to no account"),
        (lambda: Lifecycle(home_root="fsx/home"), "no absolute path"),
        (lambda: Lifecycle(mount_timeout_seconds=0), "Choose 1 to 1800"),
        (
            lambda: NodeExpectation(group="w", role=NodeRole.LOGIN, lustre_efa_interfaces=1),
            "Its nodes have 0 EFA interfaces",
        ),
        (lambda: LifecycleSettings(cluster="c", groups=()), "groups = .* once"),
        (
            lambda: LifecycleSettings(cluster="c", groups=(expectation(), expectation())),
            "groups = .* once",
        ),
        (
            lambda: LifecycleSettings(
                cluster="c",
                groups=(expectation(),),
                mounts=(
                    ExpectedMount(dns_name="a", mount_name="b"),
                    ExpectedMount(dns_name="c", mount_name="d"),
                ),
            ),
            "seen at one place",
        ),
    ],
)
def test_what_no_node_could_become_is_refused(make: Any, message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        make()


def test_every_conflict_of_a_registry_is_told_at_once() -> None:
    with pytest.raises(SpecificationError) as refused:
        Lifecycle(users=(ADA, UnixUser(name="ada", uid=2001)), accounts=(account("a", parent="z"),))
    assert {problem.field for problem in refused.value.problems} == {
        "users",
        "unix_groups",
        "accounts.a.parent",
    }


@given(st.lists(st.tuples(st.integers(2000, 2020), st.booleans()), unique=True, max_size=20))
def test_a_registry_is_accepted_exactly_when_no_number_is_given_twice(
    numbers: list[tuple[int, bool]],
) -> None:
    users = tuple(UnixUser(name=f"u{uid}", uid=uid) for uid, is_user in numbers if is_user)
    groups = tuple(UnixGroup(name=f"g{gid}", gid=gid) for gid, is_user in numbers if not is_user)
    distinct = len({number for number, _ in numbers}) == len(numbers)
    try:
        Lifecycle(users=users, unix_groups=groups)
    except SpecificationError:
        assert not distinct
    else:
        assert distinct


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("trn2.48xlarge", ("neuron", 16, 16, 1, None, False)),
        ("p5.48xlarge", ("nvidia", 8, 32, 1, 520, True)),
        ("p5.4xlarge", ("nvidia", 1, 1, 1, 520, False)),
        ("g6e.xlarge", ("nvidia", 1, 0, 0, 520, False)),
        ("m7i.large", ("none", 0, 0, 0, None, False)),
    ],
)
def test_expectations_follow_from_the_instance_type(
    name: str, expected: tuple[str, int, int, int, int | None, bool]
) -> None:
    node = NodeExpectation.of(
        "workers", NodeRole.COMPUTE, INSTANCE_TYPES[name], efa=True, lustre_over_efa=True
    )
    assert expected == (
        node.accelerator,
        node.devices,
        node.efa_interfaces,
        node.lustre_efa_interfaces,
        node.driver_floor,
        node.fabric_manager,
    )


def test_lustre_is_held_to_efa_only_where_node_and_file_system_have_it() -> None:
    trn2 = INSTANCE_TYPES["trn2.48xlarge"]
    over_tcp = NodeExpectation.of("w", NodeRole.COMPUTE, trn2, efa=True, lustre_over_efa=False)
    without = NodeExpectation.of("w", NodeRole.COMPUTE, trn2, efa=False, lustre_over_efa=True)
    assert (over_tcp.efa_interfaces, over_tcp.lustre_efa_interfaces) == (16, 0)
    assert (without.efa_interfaces, without.lustre_efa_interfaces) == (0, 0)


def test_a_table_of_a_configuration_file_says_the_same() -> None:
    table = tomllib.loads(f"""
        users = [{{ name = "ada", uid = 2000, groups = ["research"] }}]
        unix_groups = [{{ name = "research", gid = 3000 }}]
        lustre_client = {{ source = "{ZIP}", sha256 = "{"0" * 64}" }}
        minimum_packages = [
          {{ package = "aws-neuronx-tools", version = "2.24", accelerator = "neuron" }},
        ]
    """)
    read = TypeAdapter(Lifecycle).validate_python(table)
    assert read == Lifecycle(
        users=(UnixUser(name="ada", uid=2000, groups=("research",)),),
        unix_groups=(UnixGroup(name="research", gid=3000),),
        lustre_client=EfaLustreClient(source=ZIP, sha256="0" * 64),
        minimum_packages=(
            PackageFloor(
                package="aws-neuronx-tools", version="2.24", accelerator=DeviceKind.NEURON
            ),
        ),
    )


def test_the_key_of_the_lustre_client_is_for_roles_and_not_for_nodes() -> None:
    key = "arn:aws:kms:us-east-2:111111111111:key/01234567-89ab-cdef-0123-456789abcdef"
    client = EfaLustreClient(source=ZIP, sha256="0" * 64, key_arn=key)
    settings = LifecycleSettings(
        cluster="training", groups=(expectation(),), lifecycle=Lifecycle(lustre_client=client)
    )
    assert settings.as_document()["lustre_client"] == {"source": ZIP, "sha256": "0" * 64}
    with pytest.raises(SpecificationError, match="an alias says nothing to IAM"):
        replace(client, key_arn="arn:aws:kms:us-east-2:111111111111:alias/tools")


def test_settings_are_rendered_whole_and_in_one_order() -> None:
    floor = PackageFloor(package="aws-neuronx-tools", version="2.24", accelerator=DeviceKind.NEURON)
    settings = LifecycleSettings(
        cluster="training",
        groups=(expectation(),),
        lifecycle=Lifecycle(users=(ADA,), minimum_packages=(floor,)),
    )
    rendered = settings.to_json()
    document = json.loads(rendered)
    assert rendered == settings.to_json()
    assert rendered.endswith("}\n")
    assert list(document) == sorted(document)
    assert document["minimum_packages"] == [
        {"package": "aws-neuronx-tools", "version": "2.24", "accelerator": "neuron"}
    ]
    assert document["users"] == [{"name": "ada", "uid": 2000, "groups": []}]
    assert document["groups"]["workers"]["role"] == "compute"
