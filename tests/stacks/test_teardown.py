"""The order in which whole environments go: what somebody made in AWS goes while he is there."""

from collections import defaultdict
from typing import Any

import pytest

from ops.assembly import stacks
from ops.kubernetes.contents import CHART_TYPE, ClusterContents, clusters
from tests.assembly import Assembly
from tests.constructs.references import references

pytestmark = pytest.mark.synth

ENVIRONMENTS = ("dev", "prod", "staging")

Resource = tuple[str, str]
"""Stack and logical id."""

MADE_BY = {
    "TargetGroupBinding": ("aws-load-balancer-controller",),
    "Ingress": ("aws-load-balancer-controller", "external-dns"),
    "ScaledObject": ("keda",),
    "TriggerAuthentication": ("keda",),
    "LeaderWorkerSet": ("lws",),
    "ClusterQueue": ("kueue",),
    "LocalQueue": ("kueue",),
    "NodePool": ("karpenter", "karpenter-crd"),
    "EC2NodeClass": ("karpenter", "karpenter-crd"),
}
"""The charts that must outlive objects of each kind, for they clean up after them."""


class Graph:
    """What goes before what, over all stacks of an environment."""

    def __init__(self, assembly: Assembly, environment: str) -> None:
        members = [
            stack
            for stack in stacks(assembly.directory)
            if stack.name.startswith(f"llm-{environment}-")
        ]
        self.resources = {stack.name: stack.template["Resources"] for stack in members}
        self._stacks = {
            stack.name: [name for name in stack.dependencies if name in self.resources]
            for stack in members
        }

    def made_before(self, resource: Resource) -> set[Resource]:
        """Return what is made before a resource, and so is deleted after it."""
        found: set[Resource] = set()
        waiting = [resource]
        while waiting:
            stack, logical_id = waiting.pop()
            body = self.resources[stack].get(logical_id, {})
            named = {*body.get("DependsOn", ()), *references(body.get("Properties", {}))}
            inside = {(stack, name) for name in named if name in self.resources[stack]}
            waiting.extend(inside - found)
            found |= inside
        return found | self._of_other_stacks(resource[0])

    def _of_other_stacks(self, stack: str) -> set[Resource]:
        before = {stack}
        waiting = [stack]
        while waiting:
            new = set(self._stacks[waiting.pop()]) - before
            before |= new
            waiting.extend(new)
        return {(name, key) for name in before - {stack} for key in self.resources[name]}

    def of_type(self, kind: str, **properties: Any) -> set[Resource]:
        """Return the resources of a type with these properties."""
        return {
            (stack, key)
            for stack, resources in self.resources.items()
            for key, body in resources.items()
            if body["Type"] == kind and properties.items() <= body["Properties"].items()
        }


@pytest.fixture(params=ENVIRONMENTS)
def environment(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def graph(environment: str, assembly: Assembly) -> Graph:
    return Graph(assembly, environment)


@pytest.fixture
def contents(environment: str, assembly: Assembly) -> ClusterContents:
    (found,) = [
        each for each in clusters(assembly.directory) if each.name == f"llm-{environment}-eks"
    ]
    return found


def test_objects_go_before_the_controllers_that_clean_up_after_them(
    graph: Graph, contents: ClusterContents
) -> None:
    checked = 0
    for made in contents.objects:
        for chart in MADE_BY.get(made.kind, ()):
            keepers = graph.of_type(CHART_TYPE, Chart=chart)
            assert keepers <= graph.made_before((made.stack, made.logical_id)), made.title
            checked += len(keepers)
    assert checked >= len(ENVIRONMENTS)


def test_controllers_go_before_their_nodes_and_those_before_the_network_plugin(
    graph: Graph, contents: ClusterContents
) -> None:
    plugin = graph.of_type("AWS::EKS::Addon", AddonName="vpc-cni")
    groups = graph.of_type("AWS::EKS::Nodegroup")
    system = {group for group in groups if group[1].startswith("SystemNodes")}
    assert len(plugin) == len(system) == 1
    for release in contents.releases:
        before = graph.made_before((release.stack, release.logical_id))
        assert system | plugin <= before, release.release
    for group in groups:
        assert plugin <= graph.made_before(group)


def test_pods_of_models_go_before_everything_of_the_cluster(
    graph: Graph, contents: ClusterContents
) -> None:
    eks = contents.name
    cluster = {(eks, key) for key in graph.resources[eks]}
    served = [made for made in contents.objects if made.stack != eks]
    assert {"Deployment", "TargetGroupBinding", "ScaledObject"} <= {made.kind for made in served}
    for made in served:
        assert cluster <= graph.made_before((made.stack, made.logical_id)), made.title


def test_a_model_stops_scaling_then_leaves_its_load_balancer_then_ends(
    graph: Graph, contents: ClusterContents
) -> None:
    by_model: dict[str, dict[str, Resource]] = defaultdict(dict)
    for made in contents.objects:
        # With a router, the binding is the router's.
        binds = made.kind == "TargetGroupBinding"
        model = made.name.removesuffix("-router") if binds else made.name
        by_model[model][made.kind] = (made.stack, made.logical_id)
    models = [kinds for kinds in by_model.values() if "TargetGroupBinding" in kinds]
    assert models
    for kinds in models:
        before = graph.made_before(kinds["ScaledObject"])
        assert kinds["TargetGroupBinding"] in before
        assert kinds["Deployment"] in graph.made_before(kinds["TargetGroupBinding"])
        assert kinds["ServiceAccount"] in graph.made_before(kinds["Deployment"])
        listeners = graph.of_type("AWS::ElasticLoadBalancingV2::Listener")
        stack = kinds["TargetGroupBinding"][0]
        assert any(
            each in graph.made_before(kinds["TargetGroupBinding"])
            for each in listeners
            if each[0] == stack
        )


def test_nothing_is_applied_by_a_function_that_goes_first(
    graph: Graph, contents: ClusterContents
) -> None:
    functions = {
        function for function in graph.of_type("AWS::Lambda::Function") if "Kubectl" in function[1]
    }
    assert len(functions) == len(("handler", "framework"))
    for made in contents.objects:
        assert functions <= graph.made_before((made.stack, made.logical_id))
