"""Kueue: jobs wait until their team's quota has room for them."""

import json
from collections.abc import Sequence
from typing import Any, Final

from constructs import Construct, IDependable

from llm_constructs.eks_cluster import EksCluster
from llm_constructs.specs.controller_charts import KUEUE

FRAMEWORKS: Final = (
    "batch/job",
    "jobset.x-k8s.io/jobset",
    "kubeflow.org/mpijob",
    "kubeflow.org/pytorchjob",
    "ray.io/raycluster",
    "ray.io/rayjob",
    "trainer.kubeflow.org/trainjob",
)
"""Kinds of jobs that wait in queues. Not pods, Deployments and LeaderWorkerSets: model servers
scale with their users, and a queue would stand in the way.

https://kueue.sigs.k8s.io/docs/tasks/run/
"""

HYPERPOD_JOB: Final = "HyperPodPytorchJob.v1.sagemaker.amazonaws.com"
"""The kind of jobs of HyperPod's training operator, which speaks to Kueue by itself.

https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-eks-operator-usage.html
"""

UNCOUNTED_RESOURCES: Final = ("ephemeral-storage", "hugepages-", "vpc.amazonaws.com/")
"""Beginnings of resources that no team has a quota of. Kueue would never admit a job that asks for
one that it does not know."""

LONGEST_START_MINUTES: Final = 45
"""How long all pods of an admitted job may take to run, with nodes to launch and images to pull.
A job that takes longer goes back to its queue, and does not hold half of its nodes for ever."""


class Kueue(Construct):
    """The controller, for the jobs of ``namespaces``. ``installed`` is what queues wait for.

    ``external_frameworks`` are kinds of jobs whose own controllers know Kueue; only those of their
    jobs wait that name a queue.

    It comes ``after`` all other charts, because its webhooks would refuse their jobs until it runs.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: EksCluster,
        namespaces: Sequence[str],
        external_frameworks: Sequence[str] = (),
        after: Sequence[IDependable] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        self.installed = cluster.kubectl.install(
            self,
            "Chart",
            KUEUE,
            values=kueue_values(namespaces, external_frameworks),
            after=after,
            # Its webhooks give queues their defaults, and refuse them until it runs.
            wait=True,
        )


def kueue_values(
    namespaces: Sequence[str], external_frameworks: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the chart's values.

    https://github.com/kubernetes-sigs/kueue/tree/main/charts/kueue
    """
    return {
        "controllerManager": {
            "manager": {
                "resources": {
                    "requests": {"cpu": "200m", "memory": "512Mi"},
                    "limits": {"memory": "512Mi"},
                }
            }
        },
        "managerConfig": {
            # JSON is YAML.
            "controllerManagerConfigYaml": json.dumps(
                manager_configuration(namespaces, external_frameworks)
            )
        },
    }


def manager_configuration(
    namespaces: Sequence[str], external_frameworks: Sequence[str] = ()
) -> dict[str, Any]:
    """Return Kueue's own configuration, in which no job of ``namespaces`` passes its queue.

    https://kueue.sigs.k8s.io/docs/reference/kueue-config.v1beta2/
    """
    external = {"externalFrameworks": list(external_frameworks)} if external_frameworks else {}
    return {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "health": {"healthProbeBindAddress": ":8081"},
        "metrics": {"bindAddress": ":8443", "enableClusterQueueResources": True},
        "webhook": {"port": 9443},
        "leaderElection": {"leaderElect": True, "resourceName": "c1f6bfd2.kueue.x-k8s.io"},
        # Otherwise a job without the queue's label would run beside all quotas.
        "manageJobsWithoutQueueName": True,
        "managedJobsNamespaceSelector": {
            "matchExpressions": [
                {
                    "key": "kubernetes.io/metadata.name",
                    "operator": "In",
                    "values": list(namespaces),
                }
            ]
        },
        "waitForPodsReady": {
            "timeout": f"{LONGEST_START_MINUTES}m",
            "recoveryTimeout": f"{LONGEST_START_MINUTES}m",
            "blockAdmission": False,
            "requeuingStrategy": {"timestamp": "Eviction", "backoffBaseSeconds": 60},
        },
        "integrations": {"frameworks": list(FRAMEWORKS), **external},
        "resources": {"excludeResourcePrefixes": list(UNCOUNTED_RESOURCES)},
    }
