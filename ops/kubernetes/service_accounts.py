"""Whether each service account has the role that it is there for, and each role its account."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from llm_constructs.specs.problem import Problems
from ops.kubernetes.contents import ADDON_NAMESPACES, ClusterContents
from ops.kubernetes.pods import pods_of

ADDON_ACCOUNTS: Final[Mapping[str, str]] = {
    "amazon-cloudwatch-observability": "cloudwatch-agent",
    "aws-ebs-csi-driver": "ebs-csi-controller-sa",
    "aws-mountpoint-s3-csi-driver": "s3-csi-driver-sa",
    "vpc-cni": "aws-node",
}
"""The account that each add-on makes and that calls AWS. That of the FSx driver only makes and
deletes file systems, which nobody here asks it for.

https://docs.aws.amazon.com/eks/latest/userguide/workloads-add-ons-available-eks.html
"""

Account = tuple[str, str]
"""Namespace and name."""


def check_service_accounts(contents: ClusterContents, problems: Problems) -> None:
    """Note accounts without the role that they need, and roles that no account has."""
    made = {(each.namespace or "default", each.name) for each in contents.of_kind("ServiceAccount")}
    of_charts = set(_accounts_of_charts(contents))
    of_addons = set(_accounts_of_addons(contents))
    for account in sorted(contents.associations - made - of_charts - of_addons):
        problems.add(
            "/".join(account),
            None,
            "Pod Identity gives this service account a role, and nothing makes the account.",
            "Correct the association's namespace or name, or remove it.",
        )
    for account in sorted((of_charts | of_addons) - contents.associations):
        problems.add(
            "/".join(account),
            None,
            "Pods of this service account call AWS, and Pod Identity gives it no role.",
            "Associate it with a role.",
        )
    bound = set(_bound(contents))
    for account in sorted(set(_used(contents)) & made - contents.associations - bound):
        problems.add(
            "/".join(account),
            None,
            "Pods run as this service account, and neither Pod Identity nor a role binding gives "
            "it anything.",
            "Associate it with a role, bind it, or let the pods use the account default.",
        )


def _accounts_of_charts(contents: ClusterContents) -> Iterator[Account]:
    """Yield the accounts that charts are told to use, which they are for the sake of a role."""
    for release in contents.releases:
        account: Mapping[str, Any] = release.values.get("serviceAccount", {})
        named = account.get("operator", account)
        if "name" in named:
            yield release.namespace, named["name"]


def _accounts_of_addons(contents: ClusterContents) -> Iterator[Account]:
    for name, _ in contents.addons:
        if name in ADDON_ACCOUNTS:
            yield ADDON_NAMESPACES.get(name, "kube-system"), ADDON_ACCOUNTS[name]


def _bound(contents: ClusterContents) -> Iterator[Account]:
    for binding in contents.of_kind("RoleBinding", "ClusterRoleBinding"):
        for subject in binding.body.get("subjects", ()):
            if subject["kind"] == "ServiceAccount":
                yield subject.get("namespace", binding.namespace), subject["name"]


def _used(contents: ClusterContents) -> Iterator[Account]:
    for made in contents.objects:
        if made.chart is not None:
            continue
        for pod in pods_of(made):
            yield made.namespace or "default", pod.spec.get("serviceAccountName", "default")
