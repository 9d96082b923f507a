"""The metrics of an Application Load Balancer and one of its target groups."""

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_elasticloadbalancingv2 as elbv2


class LoadBalancerMetrics:
    """Metrics by the names that AWS gives them.

    The L2's own take the load balancer's name from its listener's ARN, by functions that another
    stack's template cannot apply to a reference (``Fn::Split`` takes no ``Fn::GetStackOutput``);
    these take it from the load balancer.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
    """

    def __init__(
        self, balancer: elbv2.ApplicationLoadBalancer, targets: elbv2.ApplicationTargetGroup
    ) -> None:
        self._balancer = {"LoadBalancer": balancer.load_balancer_full_name}
        self._targets = {**self._balancer, "TargetGroup": targets.target_group_full_name}

    def of_balancer(self, name: str, statistic: str, *, minutes: int = 1) -> cloudwatch.Metric:
        """Return a metric of the load balancer."""
        return _metric(name, self._balancer, statistic, minutes)

    def of_targets(self, name: str, statistic: str, *, minutes: int = 1) -> cloudwatch.Metric:
        """Return a metric of the targets."""
        return _metric(name, self._targets, statistic, minutes)


def _metric(
    name: str, dimensions: Mapping[str, str], statistic: str, minutes: int
) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/ApplicationELB",
        metric_name=name,
        dimensions_map=dict(dimensions),
        statistic=statistic,
        period=Duration.minutes(minutes),
    )
