"""Kubernetes objects that the API server refuses, or that never run."""

from dataclasses import replace
from typing import Any

from ops.kubernetes.contents import AppliedObject, ClusterContents
from tests.faults.fault import ObjectFault


def _pod(body: Any) -> Any:
    return body["spec"]["template"]["spec"]


def _hungry(body: Any) -> None:
    _pod(body)["containers"][0]["resources"]["requests"]["cpu"] = "1000"


def _untolerating(body: Any) -> None:
    _pod(body)["tolerations"] = []


def _unknown_disruption(body: Any) -> None:
    body["spec"]["disruption"]["consolidationPolicy"] = "Whenever"


def _misspelt_replicas(body: Any) -> None:
    body["spec"]["maxReplicas"] = body["spec"].pop("maxReplicaCount", 1)


def _other_selector(body: Any) -> None:
    body["spec"]["selector"] = {"app": "nobody"}


def _unknown_account(body: Any) -> None:
    _pod(body)["serviceAccountName"] = "nobody"


def _no_associations(contents: ClusterContents) -> ClusterContents:
    return replace(contents, associations=frozenset())


def _no_mountpoint(contents: ClusterContents) -> ClusterContents:
    left = [addon for addon in contents.addons if addon[0] != "aws-mountpoint-s3-csi-driver"]
    # With its role, so that nothing is wrong but the volumes.
    gone = ("kube-system", "s3-csi-driver-sa")
    return replace(contents, addons=tuple(left), associations=contents.associations - {gone})


def _no_plugin(contents: ClusterContents) -> ClusterContents:
    left = [each for each in contents.releases if each.chart != "nvidia-device-plugin"]
    return replace(contents, releases=tuple(left))


def _other_target(body: Any) -> None:
    body["spec"]["scaleTargetRef"]["name"] = "nobody"


def _other_class(body: Any) -> None:
    body["spec"]["template"]["spec"]["nodeClassRef"]["name"] = "nobody"


def _unreached_metrics(body: Any) -> None:
    body["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] = "80"


def _unserved_metrics(body: Any) -> None:
    body["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] = "9400"


def _misspelt_value(contents: ClusterContents) -> ClusterContents:
    (keda,) = [each for each in contents.releases if each.chart == "keda"]
    values = dict(keda.values)
    values["resource"] = values.pop("resources")
    planted = replace(keda, values=values)
    return replace(
        contents,
        releases=tuple(planted if each is keda else each for each in contents.releases),
    )


def _hasty_webhook(contents: ClusterContents) -> ClusterContents:
    webhook = {
        "name": "mtargetgroupbinding.elbv2.k8s.aws",
        "rules": [
            {
                "apiGroups": ["elbv2.k8s.aws"],
                "resources": ["targetgroupbindings"],
                "operations": ["CREATE"],
            }
        ],
    }
    body = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "aws-load-balancer-webhook"},
        "webhooks": [webhook],
    }
    (chart,) = [each for each in contents.releases if each.chart == "aws-load-balancer-controller"]
    made = AppliedObject(
        stack=chart.stack, logical_id=chart.logical_id, body=body, chart=chart.chart
    )
    hasty = replace(chart, waits=False)
    return replace(
        contents,
        releases=tuple(hasty if each is chart else each for each in contents.releases),
        objects=(*contents.objects, made),
    )


def _words_for_replicas(body: Any) -> None:
    body["spec"]["minAvailable"] = []


OBJECT_FAULTS = (
    ObjectFault(
        name="a pod that asks for more processors than any node has",
        why="It waits for ever, and the model never answers.",
        environment="prod",
        kind="Deployment",
        change=_hungry,
    ),
    ObjectFault(
        name="a pod without the toleration that its nodes ask for",
        why="It waits for ever beside free accelerators.",
        environment="prod",
        kind="Deployment",
        change=_untolerating,
    ),
    ObjectFault(
        name="a NodePool with an unknown policy",
        why="Karpenter refuses it, and no node comes.",
        environment="prod",
        kind="NodePool",
        change=_unknown_disruption,
        needs_crds=True,
    ),
    ObjectFault(
        name="a ScaledObject with a misspelt field",
        why="KEDA ignores it, and the model scales past its limit.",
        environment="prod",
        kind="ScaledObject",
        change=_misspelt_replicas,
        needs_crds=True,
    ),
    ObjectFault(
        name="a NodePool whose class of nodes is not there",
        why="Karpenter brings no node.",
        environment="prod",
        kind="NodePool",
        change=_other_class,
    ),
    ObjectFault(
        name="a ScaledObject for a model that is not there",
        why="The model keeps one copy whatever waits.",
        environment="prod",
        kind="ScaledObject",
        change=_other_target,
    ),
    ObjectFault(
        name="service accounts without a role",
        why="Their pods run and are refused by AWS at the first call.",
        environment="prod",
        kind="",
        change=_no_associations,
    ),
    ObjectFault(
        name="volumes whose driver no add-on installs",
        why="Pods that mount them never start.",
        environment="prod",
        kind="",
        change=_no_mountpoint,
    ),
    ObjectFault(
        name="nodes whose GPUs no plugin counts",
        why="Pods that ask for them never start, while Karpenter launches nodes for them.",
        environment="prod",
        kind="",
        change=_no_plugin,
    ),
    ObjectFault(
        name="a service whose selector matches no pod",
        why="Every call is answered with 503.",
        environment="prod",
        kind="Service",
        change=_other_selector,
    ),
    ObjectFault(
        name="a pod with an account that is not there",
        why="It is never made.",
        environment="prod",
        kind="Deployment",
        change=_unknown_account,
    ),
    ObjectFault(
        name="a misspelt value of a chart",
        why="Helm drops it, and the controller runs without its limits.",
        environment="prod",
        kind="",
        change=_misspelt_value,
    ),
    ObjectFault(
        name="a chart that is not waited for, whose webhook refuses objects until it runs",
        why="The deployment of the models fails, or not, by a race.",
        environment="prod",
        kind="",
        change=_hasty_webhook,
    ),
    ObjectFault(
        name="metrics at a port that the scraper does not reach",
        why="The model is never scaled, for nobody reads how many calls wait.",
        environment="prod",
        kind="Deployment",
        change=_unreached_metrics,
    ),
    ObjectFault(
        name="metrics at a port that no container opens",
        why="The model is never scaled, for nobody answers the scraper.",
        environment="prod",
        kind="Deployment",
        change=_unserved_metrics,
    ),
    ObjectFault(
        name="a budget of disruption with a list for a number",
        why="The API server refuses it.",
        environment="prod",
        kind="PodDisruptionBudget",
        change=_words_for_replicas,
    ),
)
