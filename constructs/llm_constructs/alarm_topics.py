"""Where alarms go: a topic for each severity, read by e-mail and in a chat channel."""

from collections.abc import Mapping, Sequence

from aws_cdk import ArnFormat, RemovalPolicy, Stack
from aws_cdk import aws_chatbot as chatbot
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from llm_constructs.alarm import Severity
from llm_constructs.encryption import CustomerKey
from llm_constructs.nag import acknowledge
from llm_constructs.service_role import ServiceRole
from llm_constructs.specs.observability import Recipients, SlackChannel

_ALARMS = "cloudwatch.amazonaws.com"

# What a chat channel may look at: the alarms and metrics behind a message.
# https://docs.aws.amazon.com/chatbot/latest/adminguide/understanding-permissions.html
_CHAT_ACTIONS = (
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetMetricData",
    "cloudwatch:GetMetricStatistics",
    "cloudwatch:ListMetrics",
)


def topic_name(name: str, severity: Severity) -> str:
    """Return the name of the topic for ``severity`` among those called ``name``.

    It is known beforehand to what tells of alerts and is deployed earlier.
    """
    return f"{name}-{severity}"


class AlarmTopics(Construct):
    """``topics`` by severity: encrypted with a key of their own, TLS only, for CloudWatch's alarms.

    Each address of ``emails`` must confirm its subscription. ``slack`` may read alarms and metrics
    and do nothing else, whatever people write there.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        emails: Recipients | None = None,
        slack: SlackChannel | None = None,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self._name = name
        key = self._key = self._make_key(removal_policy)
        self.topics: Mapping[Severity, sns.Topic] = {
            severity: self._make_topic(severity, key) for severity in Severity
        }
        recipients = emails or Recipients()
        for severity, addresses in (
            (Severity.PAGE, recipients.page),
            (Severity.TICKET, recipients.ticket),
        ):
            if addresses:
                self._subscribe(self.topics[severity], addresses)
        if slack is not None:
            self._tell(slack)

    def allow_publish(
        self,
        severity: Severity,
        service: str,
        sources: str | None = None,
        *,
        further_actions: Sequence[str] = (),
    ) -> None:
        """Let another service of AWS tell people of ``severity``, for this account alone.

        ``sources`` is a pattern of the ARNs it acts for, for services that say it, and
        ``further_actions`` are what it wants to do with the topic beside publishing.
        """
        conditions: dict[str, dict[str, str]] = {
            "StringEquals": {"aws:SourceAccount": Stack.of(self).account}
        }
        if sources is not None:
            conditions["ArnLike"] = {"aws:SourceArn": sources}
        topic = self.topics[severity]
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(service)],
                actions=["sns:Publish", *further_actions],
                resources=[topic.topic_arn],
                conditions=conditions,
            )
        )
        self._key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(service)],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                # In a key policy, `*` is the key that holds the policy.
                resources=["*"],
                conditions=conditions,
            )
        )

    def _make_key(self, removal_policy: RemovalPolicy) -> CustomerKey:
        key = CustomerKey(
            self,
            "Key",
            description="Encrypts what alarms say on their way to people",
            removal_policy=removal_policy,
        )
        # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(_ALARMS)],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                # In a key policy, `*` is the key that holds the policy.
                resources=["*"],
                conditions=self._alarms_of_this_account(),
            )
        )
        return key

    def _make_topic(self, severity: Severity, key: CustomerKey) -> sns.Topic:
        topic = sns.Topic(
            self,
            severity.value.capitalize(),
            topic_name=topic_name(self._name, severity),
            display_name=f"{self._name} {severity}",
            master_key=key,
            enforce_ssl=True,
        )
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(_ALARMS)],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions=self._alarms_of_this_account(),
            )
        )
        return topic

    def _subscribe(self, topic: sns.Topic, addresses: Sequence[str]) -> None:
        for address in addresses:
            topic.add_subscription(subscriptions.EmailSubscription(address))
        acknowledge(
            topic,
            "Serverless-SNSRedrivePolicy",
            reason="SNS hands e-mail to a mail server, and what happens then is not told to it. A "
            "queue of messages that nobody got would be read by nobody as well; the boards show "
            "every alarm that rings.",
        )

    def _alarms_of_this_account(self) -> dict[str, dict[str, str]]:
        stack = Stack.of(self)
        alarms = stack.format_arn(
            service="cloudwatch", resource="alarm:*", arn_format=ArnFormat.NO_RESOURCE_NAME
        )
        return {
            "StringEquals": {"aws:SourceAccount": stack.account},
            "ArnLike": {"aws:SourceArn": alarms},
        }

    def _tell(self, slack: SlackChannel) -> None:
        # None of these actions knows resources but DescribeAlarms, and which alarms a person in the
        # channel asks for is not known before.
        statement = iam.PolicyStatement(actions=list(_CHAT_ACTIONS), resources=["*"])
        guardrail = iam.ManagedPolicy(
            self,
            "ChatGuardrail",
            description="The most that a chat channel may do, whatever role it uses",
            statements=[statement],
        )
        role = ServiceRole(
            self,
            "ChatRole",
            assumed_by=iam.ServicePrincipal("chatbot.amazonaws.com"),
            description="Shows alarms and metrics in a chat channel",
        )
        role.add_to_policy(statement)
        for holder in (guardrail, role):
            acknowledge(
                holder,
                "AwsSolutions-IAM5[Resource::*]",
                reason="CloudWatch's actions to read metrics know no resources, and a channel may "
                "look at every alarm of the account; it can change none.",
            )
        chatbot.SlackChannelConfiguration(
            self,
            "Slack",
            slack_channel_configuration_name=f"{self._name}-alarms",
            slack_workspace_id=slack.workspace_id,
            slack_channel_id=slack.channel_id,
            notification_topics=list(self.topics.values()),
            role=role,
            # Left out, the guardrail is AdministratorAccess.
            guardrail_policies=[guardrail],
            logging_level=chatbot.LoggingLevel.ERROR,
        )
