"""LeaderWorkerSet: groups of pods on several nodes that live and die together."""

from constructs import Construct

from llm_constructs.eks_cluster import EksCluster
from llm_constructs.specs.controller_charts import LEADER_WORKER_SET


class LeaderWorkerSets(Construct):
    """The controller. ``installed`` is what LeaderWorkerSets wait for, and are deleted before."""

    def __init__(self, scope: Construct, construct_id: str, *, cluster: EksCluster) -> None:
        super().__init__(scope, construct_id)
        self.installed = cluster.kubectl.install(
            self,
            "Chart",
            LEADER_WORKER_SET,
            values={
                # The chart asks for a whole core, of which system nodes have two each:
                # https://github.com/kubernetes-sigs/lws/blob/main/charts/lws/values.yaml
                "resources": {
                    "requests": {"cpu": "100m", "memory": "256Mi"},
                    "limits": {"memory": "512Mi"},
                }
            },
            # Its webhook gives objects their defaults, and refuses them until it runs.
            wait=True,
        )
