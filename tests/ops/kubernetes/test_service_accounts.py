"""Service accounts and their roles."""

from llm_constructs.specs.problem import Problems
from ops.kubernetes.contents import ClusterContents
from ops.kubernetes.service_accounts import check_service_accounts
from tests.ops.kubernetes.clusters import cluster, named, release, workload


def told(contents: ClusterContents) -> str:
    problems = Problems("planted")
    check_service_accounts(contents, problems)
    return str(problems.error())


def test_a_role_without_its_account_is_told() -> None:
    message = told(cluster(associations=frozenset({("serving", "model")})))
    assert "serving/model = None: Pod Identity gives this service account a role" in message


def test_an_account_of_a_chart_or_addon_without_a_role_is_told() -> None:
    chart = release("karpenter", serviceAccount={"name": "karpenter"})
    nested = release("keda", serviceAccount={"operator": {"name": "keda-operator"}})
    message = told(cluster(releases=(chart, nested), addons=(("vpc-cni", {}),)))
    for account in ("karpenter", "keda-operator", "aws-node"):
        assert f"kube-system/{account} = None: Pods of this service account call AWS" in message


def test_an_account_that_is_for_nothing_is_told() -> None:
    contents = cluster(named("ServiceAccount", "model"), workload(serviceAccountName="model"))
    assert "serving/model = None: Pods run as this service account" in told(contents)


def test_an_account_with_a_role_or_a_binding_is_fine() -> None:
    binding = named(
        "RoleBinding",
        "router",
        roleRef={"kind": "Role", "name": "router"},
        subjects=[{"kind": "ServiceAccount", "name": "router"}],
    )
    contents = cluster(
        named("ServiceAccount", "model"),
        named("ServiceAccount", "router"),
        workload(serviceAccountName="model"),
        workload(serviceAccountName="router"),
        workload(),
        binding,
        addons=(("amazon-cloudwatch-observability", {}),),
        associations=frozenset({("serving", "model"), ("amazon-cloudwatch", "cloudwatch-agent")}),
    )
    assert told(contents) == ""
