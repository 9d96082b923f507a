"""Metrics of a cluster's pods, in Amazon Managed Service for Prometheus."""

import json
from collections.abc import Mapping
from typing import Final

from aws_cdk import Duration, Fn, RemovalPolicy, Stack
from aws_cdk import aws_aps as aps
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from llm_constructs.alarm import AlarmDescription, Severity
from llm_constructs.alert_manager import alert_manager_definition
from llm_constructs.eks_cluster import EksCluster
from llm_constructs.encryption import CustomerKey
from llm_constructs.kubectl import HTTPS
from llm_constructs.log_retention import retention_of
from llm_constructs.scrape_configuration import METRICS_PORTS, scrape_configuration
from llm_constructs.signal import Signal
from llm_constructs.specs.observability import Audience
from llm_constructs.specs.prometheus import PrometheusMetrics

COMPONENTS: Final = ("COLLECTOR", "EXPORTER", "SERVICE_DISCOVERY")
"""Parts of a scraper that can log.

https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-collector-how-to.html
"""

REPORTING_PERIOD: Final = Duration.minutes(5)
"""How often a workspace's usage appears in CloudWatch."""

EXPENSIVE_QUERY: Final = 1_000_000
"""Samples that a query processes, above which the workspace logs it.

https://docs.aws.amazon.com/prometheus/latest/userguide/query-insights-control.html
"""


class Prometheus(Construct):
    """A workspace, and an agentless scraper that fills it from one cluster.

    ``query_endpoint`` is what PromQL is asked at, with a signature of AWS, by whoever has
    :meth:`grant_query`. The workspace, its logs and the scraper's are encrypted with a key of its
    own. The service admits the scraper to the cluster itself, as a service-linked role with the
    access policy ``AmazonPrometheusScraperPolicy``; EKS takes no access entry for one from us.

    ``topics`` are the ARNs of those that alerts are published to, which may be made later and must
    admit the service. Without them the workspace has no alert manager.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: EksCluster,
        metrics: PrometheusMetrics,
        log_retention_days: int,
        topics: Mapping[Severity, str] | None = None,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self._topics = topics
        self._log_retention = retention_of(log_retention_days)
        self._removal_policy = removal_policy
        self._key = CustomerKey(
            self,
            "Key",
            description=f"Encrypts the metrics of {cluster.name} and the logs about them",
            removal_policy=removal_policy,
        )
        self._key.allow_log_groups()
        self.workspace = self._make_workspace(cluster, metrics)
        self.workspace_arn: str = self.workspace.attr_arn
        self.workspace_id: str = self.workspace.attr_workspace_id
        self.scraper = self._make_scraper(cluster, metrics)

    @property
    def query_endpoint(self) -> str:
        """The address before ``/api/v1/query``, without a slash at its end."""
        stack = Stack.of(self)
        host = f"aps-workspaces.{stack.region}.{stack.url_suffix}"
        return f"https://{host}/workspaces/{self.workspace_id}"

    def grant_query(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` evaluate PromQL over all metrics of the workspace."""
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=["aps:QueryMetrics"], resource_arns=[self.workspace_arn]
        )

    @property
    def alarms(self) -> tuple[AlarmDescription, ...]:
        """What to watch: without metrics nothing scales any more, and nothing says so."""
        return (
            AlarmDescription(
                name="PrometheusScrapingStopped",
                summary="The Prometheus workspace has received nothing for 15 minutes, so model "
                "servers stay at the size that they have.",
                metric=self.metric_ingestion_rate(),
                threshold=0,
                comparison=cloudwatch.ComparisonOperator.LESS_THAN_OR_EQUAL_TO_THRESHOLD,
                severity=Severity.PAGE,
                runbook="eks-prometheus-scraping",
                treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
                missing_data_reason="Karpenter and KEDA always report, so a workspace without any "
                "sample is one that nothing reaches.",
            ),
        )

    @property
    def signals(self) -> tuple[Signal, ...]:
        """What boards show: how much arrives, which is what the workspace costs."""
        return (
            Signal(
                title="Samples that arrive in Prometheus",
                audience=Audience.CAPACITY,
                section="Metrics of the cluster",
                metrics=[self.metric_ingestion_rate()],
                unit="per second",
                alarm="PrometheusScrapingStopped",
            ),
        )

    def metric_ingestion_rate(self) -> cloudwatch.Metric:
        """Return the samples that arrive in a second.

        https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-CW-usage-metrics.html
        """
        return cloudwatch.Metric(
            namespace="AWS/Usage",
            metric_name="ResourceCount",
            dimensions_map={
                "Service": "Prometheus",
                "Class": "None",
                "Type": "Resource",
                "Resource": "IngestionRate",
                "ResourceId": self.workspace_id,
            },
            statistic="Maximum",
            period=REPORTING_PERIOD,
        ).attach_to(self)

    def _make_workspace(self, cluster: EksCluster, metrics: PrometheusMetrics) -> aps.CfnWorkspace:
        group = self._log_group("WorkspaceLogs", f"{cluster.name}/workspace")
        workspace = aps.CfnWorkspace(
            self,
            "Workspace",
            alias=cluster.name,
            alert_manager_definition=self._alert_manager(cluster.name),
            kms_key_arn=self._key.key_arn,
            logging_configuration=aps.CfnWorkspace.LoggingConfigurationProperty(
                log_group_arn=group.log_group_arn
            ),
            query_logging_configuration=aps.CfnWorkspace.QueryLoggingConfigurationProperty(
                destinations=[
                    aps.CfnWorkspace.LoggingDestinationProperty(
                        cloud_watch_logs=aps.CfnWorkspace.CloudWatchLogDestinationProperty(
                            log_group_arn=group.log_group_arn
                        ),
                        filters=aps.CfnWorkspace.LoggingFilterProperty(
                            qsp_threshold=EXPENSIVE_QUERY
                        ),
                    )
                ]
            ),
            workspace_configuration=aps.CfnWorkspace.WorkspaceConfigurationProperty(
                retention_period_in_days=metrics.retention_days
            ),
        )
        workspace.apply_removal_policy(self._removal_policy)
        return workspace

    def _alert_manager(self, name: str) -> str | None:
        if self._topics is None:
            return None
        return alert_manager_definition(
            name=name, region=Stack.of(self).region, topics=self._topics
        )

    def _make_scraper(self, cluster: EksCluster, metrics: PrometheusMetrics) -> aps.CfnScraper:
        group = self._make_security_group(cluster)
        admissions = self._admit(cluster, group)
        configuration = scrape_configuration(
            cluster=cluster.name, interval_seconds=metrics.scrape_interval_seconds
        )
        log_group = self._log_group("ScraperLogs", f"{cluster.name}/scraper")
        scraper = aps.CfnScraper(
            self,
            "Scraper",
            alias=cluster.name,
            destination=aps.CfnScraper.DestinationProperty(
                amp_configuration=aps.CfnScraper.AmpConfigurationProperty(
                    workspace_arn=self.workspace_arn
                )
            ),
            source=aps.CfnScraper.SourceProperty(
                eks_configuration=aps.CfnScraper.EksConfigurationProperty(
                    cluster_arn=cluster.cluster.cluster_arn,
                    security_group_ids=[group.security_group_id],
                    subnet_ids=[subnet.subnet_id for subnet in cluster.vpc.private_subnets],
                )
            ),
            scrape_configuration=aps.CfnScraper.ScrapeConfigurationProperty(
                # JSON is YAML.
                configuration_blob=Fn.base64(json.dumps(configuration, sort_keys=True))
            ),
            scraper_logging_configuration=aps.CfnScraper.ScraperLoggingConfigurationProperty(
                logging_destination=aps.CfnScraper.ScraperLoggingDestinationProperty(
                    cloud_watch_logs=aps.CfnScraper.CloudWatchLogDestinationProperty(
                        log_group_arn=log_group.log_group_arn
                    )
                ),
                scraper_components=[
                    aps.CfnScraper.ScraperComponentProperty(type=component)
                    for component in COMPONENTS
                ],
            ),
        )
        scraper.node.add_dependency(group, *admissions)
        return scraper

    def _make_security_group(self, cluster: EksCluster) -> ec2.SecurityGroup:
        # Not the cluster's own group, which EKS deletes with the cluster and which may have no
        # interface left by then.
        group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=cluster.vpc,
            description=f"Scraper of the metrics of {cluster.name}",
            allow_all_outbound=False,
        )
        group.add_egress_rule(
            ec2.Peer.any_ipv4(), ec2.Port.tcp(HTTPS), "The cluster and the workspace"
        )
        group.add_egress_rule(
            ec2.Peer.security_group_id(cluster.security_group_id),
            ec2.Port.tcp_range(*METRICS_PORTS),
            "Metrics of pods",
        )
        return group

    def _admit(
        self, cluster: EksCluster, group: ec2.SecurityGroup
    ) -> list[ec2.CfnSecurityGroupIngress]:
        ranges = {"Api": (HTTPS, HTTPS), "Pods": METRICS_PORTS}
        return [
            ec2.CfnSecurityGroupIngress(
                self,
                f"{name}Admission",
                group_id=cluster.security_group_id,
                source_security_group_id=group.security_group_id,
                ip_protocol="tcp",
                from_port=first,
                to_port=last,
                description="Scraper of metrics",
            )
            for name, (first, last) in ranges.items()
        ]

    def _log_group(self, construct_id: str, name: str) -> logs.LogGroup:
        return logs.LogGroup(
            self,
            construct_id,
            # Under this prefix the service's permission to write needs no statement of its own, of
            # which a region has room for ten:
            # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-and-resource-policy.html
            log_group_name=f"/aws/vendedlogs/prometheus/{name}",
            encryption_key=self._key,
            retention=self._log_retention,
            removal_policy=self._removal_policy,
        )
