"""A model that vLLM serves on an EKS cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import Aws, RemovalPolicy
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_iam as iam
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct, IDependable

from llm_constructs import model_router, vllm
from llm_constructs.eks_cluster import EksCluster
from llm_constructs.encryption import CustomerKey
from llm_constructs.kubectl import KubernetesObject
from llm_constructs.load_balancer_metrics import LoadBalancerMetrics
from llm_constructs.model_endpoint import ModelEndpoint
from llm_constructs.model_load_balancer import ModelLoadBalancer
from llm_constructs.model_server_alarms import describe_alarms
from llm_constructs.model_server_alerts import describe_alert_rules
from llm_constructs.model_server_pod import LEAVING_SECONDS, PodSite
from llm_constructs.model_server_signals import describe_signals
from llm_constructs.model_server_workload import (
    disruption_budget,
    network_policy,
    readiness_gate,
    service,
    service_account,
    service_name,
    target_group_binding,
    workload,
)
from llm_constructs.nag import acknowledge
from llm_constructs.pod_identity import PodIdentityRole
from llm_constructs.replica_autoscaling import MetricsSource, autoscaling_objects
from llm_constructs.s3_location import S3Location
from llm_constructs.specs.model_server import ModelServer
from llm_constructs.specs.model_source import WeightStore
from llm_constructs.specs.mounted_folder import MountedFolder, folder_that_holds
from llm_constructs.specs.problem import Problems

API_KEY_LENGTH = 48
"""Characters; letters and digits make about 285 bits of them."""


@dataclass(frozen=True, kw_only=True)
class ServingSite:
    """Where the models of one environment run, and what they use.

    ``models`` is the lake's models area (``None`` without a lake), and ``mounts`` are its folders
    that the namespace has claims of. ``query_endpoint`` is that of the Prometheus workspace
    (``None`` without one). ``domain`` is what host names end in, and
    ``certificate`` covers them. ``access_logs`` takes the load balancers' logs.
    """

    cluster: EksCluster
    namespace: str
    vpc_cidrs: Sequence[str]
    domain: str
    certificate: acm.ICertificate
    hosted_zone: route53.IHostedZone
    access_logs: s3.IBucket
    encryption_key: CustomerKey
    models: S3Location | None = None
    mounts: tuple[MountedFolder, ...] = ()
    query_endpoint: str | None = None


class VllmServer(Construct):
    """The copies of ``server`` with their permissions, load balancer, scaling and API key.

    ``endpoint`` is how it is called; ``alarms``, ``alert_rules`` and ``signals`` are what to watch.
    ``node_labels`` are those of the nodes that it runs on. Everything in the cluster is deleted
    before what it stands for in AWS.

    Raises :class:`SpecificationError` where ``site`` lacks what ``server`` needs.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        server: ModelServer,
        site: ServingSite,
        node_labels: Mapping[str, str],
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self.server = server
        self._site = site
        self._removal_policy = removal_policy
        _check(server, site)
        self.api_key = self._make_api_key()
        self.role = self._make_role()
        self.balancer = self._make_load_balancer()
        self.endpoint = ModelEndpoint(
            model=server.name, base_url=f"https://{self._host}/v1", api_key=self.api_key
        )
        metrics = LoadBalancerMetrics(self.balancer.load_balancer, self.balancer.target_group)
        self.alarms = describe_alarms(server, metrics)
        self.signals = describe_signals(server, metrics)
        self.alert_rules = describe_alert_rules(server)
        self._apply_objects(node_labels)

    @property
    def _host(self) -> str:
        return f"{self.server.name}.{self._site.domain}"

    def _make_api_key(self) -> secretsmanager.Secret:
        secret = secretsmanager.Secret(
            self,
            "ApiKey",
            description=f"What callers of the model {self.server.name} show",
            encryption_key=self._site.encryption_key,
            removal_policy=self._removal_policy,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=API_KEY_LENGTH, exclude_punctuation=True
            ),
        )
        acknowledge(
            secret,
            "AwsSolutions-SMG4",
            "HIPAA.Security-SecretsManagerRotationEnabled",
            "NIST.800.53.R5-SecretsManagerRotationEnabled",
            reason="vLLM reads the key as a pod starts, so a new value takes hold with a rollout, "
            "which the runbook serving-key-rotation describes; a rotation without one would lock "
            "every caller out.",
        )
        return secret

    def _make_role(self) -> PodIdentityRole:
        role = PodIdentityRole(
            self,
            "Role",
            cluster=self._site.cluster,
            namespace=self._site.namespace,
            service_account=self.server.name,
            description=f"Reads the weights and the API key of {self.server.name}",
        )
        role.allow(*self._secret_statements(), *self._weight_statements())
        if self._reads_lake:
            acknowledge(
                role,
                "AwsSolutions-IAM5[Resource::.../*]",
                reason="A model is many files; `/*` is those of its one folder.",
            )
        return role

    @property
    def _reads_lake(self) -> bool:
        return self.server.source.store == WeightStore.LAKE

    def _secret_statements(self) -> list[iam.PolicyStatement]:
        source = self.server.source
        tokens = [source.token_secret_arn] if source.token_secret_arn else []
        keys = [source.token_key_arn] if source.token_key_arn else []
        return [
            iam.PolicyStatement(
                actions=["secretsmanager:GetSecretValue"],
                resources=[self.api_key.secret_arn, *tokens],
            ),
            _decryption([self._site.encryption_key.key_arn, *keys], f"secretsmanager.{Aws.REGION}"),
        ]

    def _weight_statements(self) -> list[iam.PolicyStatement]:
        models = self._site.models
        if models is None or not self._reads_lake:
            return []
        folder = f"{models.prefix}{self.server.source.path}/"
        key = models.bucket.encryption_key
        return [
            iam.PolicyStatement(
                actions=["s3:GetObject"], resources=[models.bucket.arn_for_objects(f"{folder}*")]
            ),
            iam.PolicyStatement(
                actions=["s3:ListBucket"],
                resources=[models.bucket.bucket_arn],
                conditions={"StringLike": {"s3:prefix": [folder.rstrip("/"), f"{folder}*"]}},
            ),
            *([_decryption([key.key_arn], f"s3.{Aws.REGION}")] if key else []),
        ]

    def _make_load_balancer(self) -> ModelLoadBalancer:
        server, site = self.server, self._site
        routed = server.prefix_routing
        return ModelLoadBalancer(
            self,
            "Endpoint",
            vpc=site.cluster.vpc,
            vpc_cidrs=site.vpc_cidrs,
            host=self._host,
            certificate=site.certificate,
            hosted_zone=site.hosted_zone,
            access_logs=site.access_logs,
            pod_security_group_id=site.cluster.security_group_id,
            port=model_router.PORT if routed else vllm.PORT,
            health_path="/liveness" if routed else "/health",
            idle_timeout_seconds=server.idle_timeout_seconds,
            deregistration_seconds=LEAVING_SECONDS + server.drain_seconds,
            removal_policy=self._removal_policy,
        )

    def _apply_objects(self, node_labels: Mapping[str, str]) -> None:
        """Apply the objects one after the other, so that they are deleted in the opposite order.

        What scales goes first and what binds pods to the load balancer next, so that the pods drain
        before they end and nothing brings them back.
        """
        server, site = self.server, self._site
        gate = readiness_gate(self._binding_name)
        pods = PodSite(
            namespace=site.namespace,
            models_uri=site.models.uri if site.models else "",
            api_key_arn=self.api_key.secret_arn,
            node_labels=node_labels,
            mounted=folder_that_holds(site.mounts, server.source.path),
            readiness_gate=None if server.prefix_routing else gate,
        )
        objects: dict[str, KubernetesObject] = {
            "ServiceAccount": service_account(server.name, site.namespace),
            "NetworkPolicy": network_policy(server, site.namespace, vpc_cidrs=site.vpc_cidrs),
            "DisruptionBudget": disruption_budget(server, site.namespace),
            # Of another name and kind over several nodes, and so other resources: what is only
            # applied anew leaves the object before.
            "Service" if server.nodes == 1 else "LeaderService": service(server, site.namespace),
            "Workload" if server.nodes == 1 else "Group": workload(server, pods),
        }
        if server.prefix_routing:
            objects |= model_router.router_objects(
                server, site.namespace, vpc_cidrs=site.vpc_cidrs, readiness_gate=gate
            )
        objects["RouterBinding" if server.prefix_routing else "Binding"] = self._binding()
        objects |= self._autoscaling()
        # The agent gives credentials to pods that start after the association was made.
        after: Sequence[IDependable] = [self.role, self.role.associate(), self.balancer]
        for construct_id, made in objects.items():
            applied = site.cluster.kubectl.apply(self, construct_id, made, after=after)
            after = [applied]

    @property
    def _binding_name(self) -> str:
        """The name of the binding.

        The router listens at another port than the pods, which makes a new target group, and the
        controller refuses to give a binding another one: so that it is another binding.
        https://github.com/kubernetes-sigs/aws-load-balancer-controller/blob/main/webhooks/elbv2/targetgroupbinding_validator.go
        """
        server = self.server
        return model_router.router_name(server) if server.prefix_routing else server.name

    def _binding(self) -> KubernetesObject:
        routed = self.server.prefix_routing
        return target_group_binding(
            self._binding_name,
            self._site.namespace,
            service_name=self._binding_name if routed else service_name(self.server),
            port=model_router.PORT if routed else vllm.PORT,
            target_group_arn=self.balancer.target_group.target_group_arn,
        )

    def _autoscaling(self) -> Mapping[str, KubernetesObject]:
        site = self._site
        if site.query_endpoint is None:
            return {}
        source = MetricsSource(
            region=Aws.REGION,
            query_endpoint=site.query_endpoint,
            load_balancer=self.balancer.load_balancer.load_balancer_full_name,
        )
        return autoscaling_objects(self.server, site.namespace, source)


def _decryption(keys: Sequence[str], service_name: str) -> iam.PolicyStatement:
    """Return the permission to decrypt what one service of AWS keeps, by way of it alone."""
    return iam.PolicyStatement(
        actions=["kms:Decrypt"],
        resources=list(keys),
        conditions={"StringEquals": {"kms:ViaService": f"{service_name}.{Aws.URL_SUFFIX}"}},
    )


def _check(server: ModelServer, site: ServingSite) -> None:
    problems = Problems(f"model {server.name}")
    problems.require(
        site.models is not None or server.source.store != WeightStore.LAKE,
        "source.store",
        str(server.source.store),
        "The environment has no lake that weights could lie in.",
        "Add [data], or take the weights from the hub.",
    )
    problems.require(
        server.source.store != WeightStore.MOUNTPOINT
        or folder_that_holds(site.mounts, server.source.path) is not None,
        "source.path",
        server.source.path,
        "It lies in no folder of the lake that the cluster mounts.",
        "Name it or a folder above it among the mounted folders, or stream it from the lake.",
    )
    problems.require(
        site.query_endpoint is not None or server.scaling.fixed,
        "scaling.maximum",
        server.scaling.maximum,
        "Nothing measures the model's queue, so no copy would ever be added.",
        "Turn the cluster's Prometheus workspace on, or make minimum and maximum the same.",
    )
    problems.raise_if_any()
