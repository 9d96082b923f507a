"""Templates that CloudFormation, or the service behind a resource, would refuse."""

import json

from tests.faults.fault import DROPPED, TemplateFault

SAME_PLACE = {"type": "text", "x": 0, "y": 0, "width": 24, "height": 2}
TEXT = {"properties": {"markdown": "x"}}


def _alert(expression: str) -> str:
    rule = {"alert": "Planted", "expr": expression, "for": "5m"}
    return json.dumps({"groups": [{"name": "serving", "rules": [rule]}]})


STRUCTURE_FAULTS = (
    TemplateFault(
        name="a value that is none of an enumeration's",
        why="The deployment fails and rolls back.",
        stack="llm-prod-data",
        kind="AWS::S3::Bucket",
        path=("Properties", "VersioningConfiguration", "Status"),
        value="On",
    ),
    TemplateFault(
        name="a required property left out",
        why="The deployment fails and rolls back.",
        stack="llm-prod-gateway",
        kind="AWS::DynamoDB::Table",
        path=("Properties", "KeySchema"),
        value=DROPPED,
    ),
    TemplateFault(
        name="a property that the type does not have",
        why="The deployment fails, or what was meant is not done.",
        stack="llm-prod-observability",
        kind="AWS::SNS::Topic",
        path=("Properties", "Encryption"),
        value=True,
    ),
    TemplateFault(
        name="a reference to a resource that is not there",
        why="CloudFormation refuses the whole template.",
        stack="llm-prod-gateway",
        kind="AWS::DynamoDB::Table",
        path=("Properties", "SSESpecification", "KMSMasterKeyId"),
        value={"Ref": "NoSuchKey"},
    ),
    TemplateFault(
        name="an attribute that the type does not return",
        why="The deployment fails once the first half of it is made.",
        stack="llm-prod-data",
        kind="AWS::Logs::LogGroup",
        path=("Properties", "KmsKeyId"),
        value={"Fn::GetAtt": ["FileSystemKey2DFFD0A9", "KeyArn"]},
    ),
    TemplateFault(
        name="two resources that wait for each other",
        why="CloudFormation refuses the whole template.",
        stack="llm-prod-data",
        kind="AWS::Logs::LogGroup",
        path=("Properties", "LogGroupName"),
        value={"Fn::GetAtt": ["WaitsForTheGroup", "TopicName"]},
        added={
            "WaitsForTheGroup": {
                "Type": "AWS::SNS::Topic",
                "Properties": {"DisplayName": {"Ref": "FileSystemLogGroup340BF791"}},
            }
        },
    ),
    TemplateFault(
        name="a Lustre size between two legal ones",
        why="FSx refuses it after the network and keys are made.",
        stack="llm-prod-data",
        kind="AWS::FSx::FileSystem",
        path=("Properties", "StorageCapacity"),
        value=38000,
    ),
    TemplateFault(
        name="a Lustre throughput of 200 MB/s per TiB",
        why="PERSISTENT_2 has 125, 250, 500 and 1000 only.",
        stack="llm-prod-data",
        kind="AWS::FSx::FileSystem",
        path=("Properties", "LustreConfiguration", "PerUnitStorageThroughput"),
        value=200,
    ),
    TemplateFault(
        name="a Lustre deployment type that is not there",
        why="The schema of the type has no enumeration for it.",
        stack="llm-prod-data",
        kind="AWS::FSx::FileSystem",
        path=("Properties", "LustreConfiguration", "DeploymentType"),
        value="PERSISTENT_9",
    ),
    TemplateFault(
        name="a relative path of a data repository",
        why="FSx refuses it after half an hour of making the file system.",
        stack="llm-prod-data",
        kind="AWS::FSx::DataRepositoryAssociation",
        path=("Properties", "FileSystemPath"),
        value="datasets",
    ),
    TemplateFault(
        name="a HyperPod instance type that the region does not have",
        why="The cluster fails to create, long after the network.",
        stack="llm-prod-training",
        kind="AWS::SageMaker::Cluster",
        path=("Properties", "InstanceGroups", 0, "InstanceType"),
        value="ml.trn2.3xlarge",
    ),
    TemplateFault(
        name="EKS version 1.19",
        why="EKS has not offered it since 2022.",
        stack="llm-prod-eks",
        kind="AWS::EKS::Cluster",
        path=("Properties", "Version"),
        value="1.19",
    ),
    TemplateFault(
        name="an instance type of nodes that does not exist",
        why="The node group fails after the control plane took its quarter of an hour.",
        stack="llm-prod-eks",
        kind="AWS::EKS::Nodegroup",
        path=("Properties", "InstanceTypes"),
        value=["m7g.huge"],
        prefix="SystemNodes",
    ),
    TemplateFault(
        name="fewer nodes at most than at least",
        why="EKS refuses the group after the control plane is made.",
        stack="llm-prod-eks",
        kind="AWS::EKS::Nodegroup",
        path=("Properties", "ScalingConfig", "MinSize"),
        value=9,
        prefix="SystemNodes",
    ),
    TemplateFault(
        name="a dashboard that is not JSON",
        why="CloudWatch refuses it, and the alarms of the same stack roll back.",
        stack="llm-prod-observability",
        kind="AWS::CloudWatch::Dashboard",
        path=("Properties", "DashboardBody"),
        value='{"widgets": [',
    ),
    TemplateFault(
        name="widgets that lie on each other",
        why="CloudWatch shows one of them somewhere else, and nobody looks there.",
        stack="llm-prod-observability",
        kind="AWS::CloudWatch::Dashboard",
        path=("Properties", "DashboardBody"),
        value=json.dumps({"widgets": [{**SAME_PLACE, **TEXT}, {**SAME_PLACE, **TEXT}]}),
    ),
    TemplateFault(
        name="a moment in the thirteenth month",
        why="Nodes of a paid block of capacity would never come.",
        stack="llm-prod-eks",
        kind="AWS::Scheduler::Schedule",
        path=("Properties", "ScheduleExpression"),
        value="at(2027-13-11T11:30:00)",
    ),
    TemplateFault(
        name="a cron expression with four fields",
        why="The schedule is refused.",
        stack="llm-prod-eks",
        kind="AWS::Scheduler::Schedule",
        path=("Properties", "ScheduleExpression"),
        value="cron(0 25 * *)",
    ),
    TemplateFault(
        name="a state machine that starts at a state it has not",
        why="Step Functions refuses it.",
        stack="llm-prod-curation",
        kind="AWS::StepFunctions::StateMachine",
        path=("Properties", "DefinitionString"),
        value='{"StartAt": "Missing", "States": {"Done": {"Type": "Succeed"}}}',
    ),
    TemplateFault(
        name="a subnet outside its VPC",
        why="EC2 refuses it.",
        stack="llm-prod-network",
        kind="AWS::EC2::Subnet",
        path=("Properties", "CidrBlock"),
        value="192.168.0.0/24",
    ),
    TemplateFault(
        name="a runtime past its end",
        why="Lambda makes no function with it, and patches none.",
        stack="llm-prod-gateway",
        kind="AWS::Lambda::Function",
        path=("Properties", "Runtime"),
        value="python3.7",
        prefix="GatewayAuthorizer",
    ),
    TemplateFault(
        name="an environment variable that begins with a digit",
        why="Lambda refuses the function.",
        stack="llm-prod-gateway",
        kind="AWS::Lambda::Function",
        path=("Properties", "Environment", "Variables", "1_KEY"),
        value="x",
        prefix="GatewayAuthorizer",
    ),
    TemplateFault(
        name="a function that may run for sixteen minutes",
        why="Lambda ends functions after fifteen, and refuses more.",
        stack="llm-prod-gateway",
        kind="AWS::Lambda::Function",
        path=("Properties", "Timeout"),
        value=960,
        prefix="GatewayAuthorizer",
    ),
    TemplateFault(
        name="an alert on a metric that nobody exposes",
        why="It never rings.",
        stack="llm-prod-serving",
        kind="AWS::APS::RuleGroupsNamespace",
        path=("Properties", "Data"),
        value=_alert("sum(vllm:requests_in_line) > 4"),
    ),
    TemplateFault(
        name="an alert whose expression is no query",
        why="The workspace refuses the rules, and the deployment fails.",
        stack="llm-prod-serving",
        kind="AWS::APS::RuleGroupsNamespace",
        path=("Properties", "Data"),
        value=_alert("sum(rate(vllm:num_preemptions_total[5m]) > 4"),
    ),
    TemplateFault(
        name="an alarm on a metric that nobody emits",
        why="It stays silent whatever happens.",
        stack="llm-prod-gateway",
        kind="AWS::CloudWatch::Alarm",
        path=("Properties", "MetricName"),
        value="5XXErrors",
        prefix="GatewayDeployment",
    ),
    TemplateFault(
        name="an alarm on a metric by a dimension that it has not",
        why="It stays silent whatever happens.",
        stack="llm-prod-gateway",
        kind="AWS::CloudWatch::Alarm",
        path=("Properties", "Dimensions", 0, "Name"),
        value="ApiId",
        prefix="GatewayDeployment",
    ),
    TemplateFault(
        name="an alarm that leads to a runbook that is not there",
        why="Whoever is woken stands before a missing page.",
        stack="llm-prod-observability",
        kind="AWS::CloudWatch::Alarm",
        path=("Properties", "AlarmDescription"),
        value=(
            "Severity: ticket. Environment: prod, layer: network, alarm: NatPortsExhausted.\n\n"
            "Runbook: https://git.example.com/docs/runbooks/no-such-page.md\n\nMissing data: None."
        ),
        prefix="AlarmsNetworkNetworkNatPorts",
    ),
)
