"""The web application firewall in front of the gateway's API."""

from collections.abc import Sequence

from aws_cdk import ArnFormat, Duration, Names, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from llm_constructs.encryption import CustomerKey
from llm_constructs.log_retention import retention_of

RATE_WINDOW_SECONDS = 300
"""The window of the rule on single addresses."""

REQUEST_CONTEXT_HEADER = "x-amzn-request-context"
"""https://github.com/awslabs/aws-lambda-web-adapter, "Lambda context"."""

_METRIC = "Gateway"

_CREDENTIALS = ("authorization", "x-api-key", "x-amz-security-token", "cookie")

_MANAGED_RULES: dict[str, tuple[str, ...]] = {
    "AWSManagedRulesAmazonIpReputationList": (),
    "AWSManagedRulesKnownBadInputsRuleSet": ("JavaDeserializationRCE_BODY", "Log4JRCE_BODY"),
    "AWSManagedRulesCommonRuleSet": (
        "SizeRestrictions_BODY",
        "EC2MetaDataSSRF_BODY",
        "GenericLFI_BODY",
        "GenericRFI_BODY",
        "CrossSiteScripting_BODY",
    ),
}
"""AWS's rule groups, and those of their rules that only count.

A prompt is text about anything: it is longer than the 8 KB that the size rule allows, and whoever
asks about markup, a path, an address or an exploit writes one. The body is never run, rendered or
fetched by the gateway, so what these rules look for does no harm there; everything else of a
request is checked as usual.
https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-list.html
"""


class GatewayFirewall(Construct):
    """AWS's rules and a limit on single addresses, associated with ``stage_arn``.

    ``acl_arn`` is the web ACL, to stand before other resources of the region as well; ``log_group``
    has its log.

    What is refused or counted is logged for ``log_retention_days`` without credentials, query and
    body.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage_arn: str,
        requests_per_address: int,
        encryption_key: CustomerKey,
        log_retention_days: int,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        acl = wafv2.CfnWebACL(
            self,
            "WebAcl",
            scope="REGIONAL",
            description="In front of the gateway",
            default_action=wafv2.CfnWebACL.DefaultActionProperty(allow={}),
            rules=[
                _context_rule(priority=0),
                _rate_rule(requests_per_address, priority=1),
                *(
                    _managed_rule(name, counted, priority)
                    for priority, (name, counted) in enumerate(_MANAGED_RULES.items(), start=2)
                ),
            ],
            visibility_config=_visibility(_METRIC),
        )
        self.acl_arn: str = acl.attr_arn
        wafv2.CfnWebACLAssociation(
            self, "Association", resource_arn=stage_arn, web_acl_arn=acl.attr_arn
        )
        self.log_group = logs.LogGroup(
            self,
            "Logs",
            # WAF takes no other names:
            # https://docs.aws.amazon.com/waf/latest/developerguide/logging-cw-logs.html
            log_group_name=f"aws-waf-logs-{Names.unique_resource_name(self, max_length=80)}",
            encryption_key=encryption_key,
            retention=retention_of(log_retention_days),
            removal_policy=removal_policy,
        )
        wafv2.CfnLoggingConfiguration(
            self,
            "Logging",
            resource_arn=acl.attr_arn,
            # Without the `:*` that CloudFormation adds to a log group's ARN.
            log_destination_configs=[
                Stack.of(self).format_arn(
                    service="logs",
                    resource=f"log-group:{self.log_group.log_group_name}",
                    arn_format=ArnFormat.NO_RESOURCE_NAME,
                )
            ],
            redacted_fields=[
                *(
                    wafv2.CfnLoggingConfiguration.FieldToMatchProperty(
                        single_header={"Name": header}
                    )
                    for header in _CREDENTIALS
                ),
                wafv2.CfnLoggingConfiguration.FieldToMatchProperty(query_string={}),
            ],
            logging_filter=_only_what_matched(),
        )

    def metric_refused(self) -> cloudwatch.Metric:
        """Return how many requests were refused, by whichever rule, in a minute.

        https://docs.aws.amazon.com/waf/latest/developerguide/waf-metrics.html
        """
        return cloudwatch.Metric(
            namespace="AWS/WAFV2",
            metric_name="BlockedRequests",
            dimensions_map={"WebACL": _METRIC, "Region": Stack.of(self).region, "Rule": "ALL"},
            statistic="Sum",
            period=Duration.minutes(1),
        )


def _context_rule(*, priority: int) -> wafv2.CfnWebACL.RuleProperty:
    """Refuse whoever sends the header in which the Lambda Web Adapter says who calls.

    The adapter adds its own beside one that a client sent; so none may come from outside.
    """
    return wafv2.CfnWebACL.RuleProperty(
        name="NoRequestContext",
        priority=priority,
        action=wafv2.CfnWebACL.RuleActionProperty(block={}),
        statement=wafv2.CfnWebACL.StatementProperty(
            size_constraint_statement=wafv2.CfnWebACL.SizeConstraintStatementProperty(
                field_to_match=wafv2.CfnWebACL.FieldToMatchProperty(
                    single_header={"Name": REQUEST_CONTEXT_HEADER}
                ),
                comparison_operator="GE",
                size=0,
                text_transformations=[
                    wafv2.CfnWebACL.TextTransformationProperty(priority=0, type="NONE")
                ],
            )
        ),
        visibility_config=_visibility("NoRequestContext"),
    )


def _rate_rule(limit: int, *, priority: int) -> wafv2.CfnWebACL.RuleProperty:
    return wafv2.CfnWebACL.RuleProperty(
        name="RequestsPerAddress",
        priority=priority,
        action=wafv2.CfnWebACL.RuleActionProperty(block={}),
        statement=wafv2.CfnWebACL.StatementProperty(
            rate_based_statement=wafv2.CfnWebACL.RateBasedStatementProperty(
                aggregate_key_type="IP",
                limit=limit,
                evaluation_window_sec=RATE_WINDOW_SECONDS,
            )
        ),
        visibility_config=_visibility("RequestsPerAddress"),
    )


def _managed_rule(name: str, counted: Sequence[str], priority: int) -> wafv2.CfnWebACL.RuleProperty:
    count = wafv2.CfnWebACL.RuleActionProperty(count={})
    return wafv2.CfnWebACL.RuleProperty(
        name=name,
        priority=priority,
        override_action=wafv2.CfnWebACL.OverrideActionProperty(none={}),
        statement=wafv2.CfnWebACL.StatementProperty(
            managed_rule_group_statement=wafv2.CfnWebACL.ManagedRuleGroupStatementProperty(
                vendor_name="AWS",
                name=name,
                rule_action_overrides=[
                    wafv2.CfnWebACL.RuleActionOverrideProperty(name=rule, action_to_use=count)
                    for rule in counted
                ]
                or None,
            )
        ),
        visibility_config=_visibility(name),
    )


def _visibility(name: str) -> wafv2.CfnWebACL.VisibilityConfigProperty:
    return wafv2.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True,
        metric_name=name,
        # Samples show whole requests in the console.
        sampled_requests_enabled=False,
    )


def _only_what_matched() -> dict[str, object]:
    conditions = [
        {"ActionCondition": {"Action": action}}
        for action in ("BLOCK", "COUNT", "EXCLUDED_AS_COUNT")
    ]
    return {
        "DefaultBehavior": "DROP",
        "Filters": [{"Behavior": "KEEP", "Conditions": conditions, "Requirement": "MEETS_ANY"}],
    }
