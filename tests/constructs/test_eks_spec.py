"""What a cluster's specification refuses, and how it says so."""

from typing import Any

import pytest

from llm_constructs.specs.eks import KUBERNETES_VERSIONS, Cluster
from llm_constructs.specs.problem import SpecificationError

ADMIN = "arn:aws:iam::111111111111:role/admin"


def test_a_cluster_needs_no_settings() -> None:
    assert Cluster().version == KUBERNETES_VERSIONS[-1]


@pytest.mark.parametrize("version", ["1.35", "1.37", "latest", ""])
def test_versions_without_pins_are_refused(version: str) -> None:
    with pytest.raises(SpecificationError, match=r"version .* not pinned for it\. Choose 1\.36\."):
        Cluster(version=version)


@pytest.mark.parametrize(
    "arn", ["arn:aws:iam::111111111111:user/someone", "admin", "arn:aws:iam::1:role/x", "*"]
)
@pytest.mark.parametrize("field", ["admin_role_arns", "viewer_role_arns"])
def test_access_is_for_roles_alone(field: str, arn: str) -> None:
    settings: Any = {field: (arn,)}
    with pytest.raises(SpecificationError, match=f"{field} .* not the ARN of one"):
        Cluster(**settings)


def test_a_role_has_one_entry() -> None:
    with pytest.raises(SpecificationError, match=r"viewer_role_arns .* Name it once\."):
        Cluster(admin_role_arns=(ADMIN,), viewer_role_arns=(ADMIN,))


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(SpecificationError) as caught:
        Cluster(version="1.20", log_retention_days=8, admin_role_arns=("me",))
    fields = {problem.field for problem in caught.value.problems}
    assert fields == {"version", "log_retention_days", "admin_role_arns"}


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-x", "Serving", "a_b", "-a", ""])
def test_workloads_get_namespaces_of_their_own(name: str) -> None:
    with pytest.raises(SpecificationError, match="namespaces"):
        Cluster(namespaces=(name,))


def test_a_namespace_is_named_once() -> None:
    with pytest.raises(SpecificationError, match="named twice"):
        Cluster(namespaces=("serving", "serving"))
