"""The cluster as CloudFormation will see it."""

import json
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import RemovalPolicy
from aws_cdk import aws_ec2 as ec2

from llm_constructs.cluster_addons import ClusterAddons
from llm_constructs.eks_cluster import EksCluster
from llm_constructs.service_key import VolumeKey
from llm_constructs.specs.cluster_addon import (
    CONTROLLERS,
    FSX_CSI_DRIVER,
    NETWORKING,
    monitoring_addons,
)
from llm_constructs.specs.eks import Cluster, GpuMonitoring, UpgradePolicy
from llm_constructs.specs.helm_chart import HelmChart
from llm_constructs.specs.node_group import SystemNodes
from llm_constructs.system_nodes import SystemNodeGroup
from tests.constructs.eks import cluster_in
from tests.constructs.references import predecessors
from tests.constructs.synthesis import ENVIRONMENT, ZONES, Template, app, synthesised

ADMIN = "arn:aws:iam::111111111111:role/admin"
VIEWER = "arn:aws:iam::111111111111:role/viewer"
CHART = HelmChart(
    name="example",
    repository="oci://public.ecr.aws/example/example",
    version="1.2.3",
    namespace="example",
)


def build(stack: cdk.Stack) -> None:
    cluster = cluster_in(
        stack,
        Cluster(
            admin_role_arns=(ADMIN,),
            viewer_role_arns=(VIEWER,),
            upgrade_policy=UpgradePolicy.EXTENDED,
            log_retention_days=90,
        ),
    )
    networking = ClusterAddons(stack, "Networking", cluster=cluster, addons=NETWORKING)
    nodes = SystemNodeGroup(
        stack,
        "SystemNodes",
        cluster=cluster,
        nodes=SystemNodes(ami_release="1.36.2-20261110"),
        volume_key=VolumeKey(stack, "VolumeKey", description="Encrypts volumes"),
        after=[networking],
    )
    controllers = ClusterAddons(
        stack,
        "Controllers",
        cluster=cluster,
        addons=[*CONTROLLERS, *monitoring_addons(GpuMonitoring.NODE_REPAIR), FSX_CSI_DRIVER],
        after=[nodes],
    )
    cluster.kubectl.after(controllers)
    cluster.kubectl.install(stack, "Chart", CHART, values={"replicas": 2})
    cluster.kubectl.apply(
        stack,
        "Namespace",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "example"}},
    )


@pytest.fixture(scope="module")
def template() -> Template:
    return synthesised(build)


def test_the_api_is_private_and_its_interfaces_are_isolated(template: Template) -> None:
    network = template.only("AWS::EKS::Cluster")["ResourcesVpcConfig"]
    assert network["EndpointPrivateAccess"] is True
    assert network["EndpointPublicAccess"] is False
    assert len(network["SubnetIds"]) == 2
    assert all("Isolated" in subnet["Ref"] for subnet in network["SubnetIds"])


def test_secrets_and_logs_are_encrypted_with_the_clusters_key(template: Template) -> None:
    (encryption,) = template.only("AWS::EKS::Cluster")["EncryptionConfig"]
    key = encryption["Provider"]["KeyArn"]
    assert encryption["Resources"] == ["secrets"]
    groups = template.properties("AWS::Logs::LogGroup")
    assert len(groups) == 3
    assert {json.dumps(group["KmsKeyId"]) for group in groups} == {json.dumps(key)}
    assert {group["RetentionInDays"] for group in groups} == {90}


def test_every_log_of_the_control_plane_reaches_the_kept_group(template: Template) -> None:
    (cluster,) = template.of_type("AWS::EKS::Cluster").values()
    enabled = cluster["Properties"]["Logging"]["ClusterLogging"]["EnabledTypes"]
    assert {entry["Type"] for entry in enabled} == {
        *("api", "audit", "authenticator", "controllerManager", "scheduler")
    }
    (group,) = [
        key
        for key, body in template.of_type("AWS::Logs::LogGroup").items()
        if body["Properties"]["LogGroupName"] == "/aws/eks/test/cluster"
    ]
    assert group in cluster["DependsOn"]


def test_a_retained_cluster_refuses_deletion_and_keeps_its_version(template: Template) -> None:
    cluster = template.only("AWS::EKS::Cluster")
    assert cluster["DeletionProtection"] is True
    assert cluster["UpgradePolicy"] == {"SupportType": "EXTENDED"}
    assert cluster["Version"] == "1.36"


def test_a_cluster_without_data_can_be_deleted() -> None:
    template = synthesised(lambda stack: cluster_in(stack, removal_policy=RemovalPolicy.DESTROY))
    assert template.only("AWS::EKS::Cluster")["DeletionProtection"] is False


def test_access_is_by_entries_alone(template: Template) -> None:
    access = template.only("AWS::EKS::Cluster")["AccessConfig"]
    assert access == {
        "AuthenticationMode": "API",
        "BootstrapClusterCreatorAdminPermissions": False,
    }
    policies = {
        json.dumps(entry["PrincipalArn"]): json.dumps(entry["AccessPolicies"])
        for entry in template.properties("AWS::EKS::AccessEntry")
    }
    assert "AmazonEKSClusterAdminPolicy" in policies[json.dumps(ADMIN)]
    assert "AmazonEKSViewPolicy" in policies[json.dumps(VIEWER)]
    assert len(policies) == 3


def test_pods_have_no_oidc_provider(template: Template) -> None:
    kinds = {resource["Type"] for resource in template.resources.values()}
    assert "AWS::IAM::OIDCProvider" not in kinds
    assert "Custom::AWSCDKOpenIdConnectProvider" not in kinds


def test_nodes_reach_each_other_over_efa_both_ways(template: Template) -> None:
    ends = {"Ingress": "SourceSecurityGroupId", "Egress": "DestinationSecurityGroupId"}
    for kind, other in ends.items():
        rules = template.properties(f"AWS::EC2::SecurityGroup{kind}")
        loops = [rule for rule in rules if rule["GroupId"] == rule.get(other)]
        assert [rule["IpProtocol"] for rule in loops] == ["-1"]


def test_pods_do_not_reach_the_nodes_credentials(template: Template) -> None:
    data = template.only("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 1


def test_system_nodes_are_pinned_encrypted_and_repaired(template: Template) -> None:
    group = template.only("AWS::EKS::Nodegroup")
    assert group["ReleaseVersion"] == "1.36.2-20261110"
    assert group["AmiType"] == "AL2023_ARM_64_STANDARD"
    assert group["NodeRepairConfig"] == {"Enabled": True}
    assert group["ForceUpdateEnabled"] is False
    data = template.only("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    (volume,) = data["BlockDeviceMappings"]
    assert volume["Ebs"]["Encrypted"] is True
    assert "VolumeKey" in json.dumps(volume["Ebs"]["KmsKeyId"])
    assert len(data["SecurityGroupIds"]) == 2


def test_x86_nodes_get_an_x86_image() -> None:
    def on_intel(stack: cdk.Stack) -> None:
        SystemNodeGroup(
            stack,
            "SystemNodes",
            cluster=cluster_in(stack),
            nodes=SystemNodes(instance_type="m7i.large"),
            volume_key=VolumeKey(stack, "VolumeKey", description="Encrypts volumes"),
        )

    assert synthesised(on_intel).only("AWS::EKS::Nodegroup")["AmiType"] == "AL2023_x86_64_STANDARD"


def test_every_addon_is_pinned_and_overwrites(template: Template) -> None:
    addons = template.properties("AWS::EKS::Addon")
    assert len(addons) == len({addon["AddonName"] for addon in addons}) == 9
    for addon in addons:
        assert "-eksbuild." in addon["AddonVersion"]
        assert addon["ResolveConflicts"] == "OVERWRITE"


def test_network_policies_are_enforced(template: Template) -> None:
    assert configuration(template, "vpc-cni") == {"enableNetworkPolicy": "true"}


def test_a_service_account_of_an_addon_is_the_only_one_that_gets_its_role(
    template: Template,
) -> None:
    associated = {
        entry["ServiceAccount"]: template.resources[entry["RoleArn"]["Fn::GetAtt"][0]]
        for addon in template.properties("AWS::EKS::Addon")
        for entry in addon.get("PodIdentityAssociations", [])
    }
    assert set(associated) == {"aws-node", "ebs-csi-controller-sa", "cloudwatch-agent"}
    for account, role in associated.items():
        (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": "pods.eks.amazonaws.com"}
        assert statement["Action"] == ["sts:AssumeRole", "sts:TagSession"]
        wanted = statement["Condition"]["StringEquals"]
        assert wanted["aws:RequestTag/eks-cluster-name"] == "test"
        assert wanted["aws:RequestTag/kubernetes-service-account"] == account


@pytest.mark.parametrize("monitoring", GpuMonitoring)
def test_exactly_one_program_runs_dcgm(monitoring: GpuMonitoring) -> None:
    addons = {addon.name: addon for addon in monitoring_addons(monitoring)}
    insights: Any = addons["amazon-cloudwatch-observability"].configuration
    for key in ("agent", "config", "logs", "metrics_collected", "kubernetes"):
        insights = insights[key]
    owners = [
        insights["accelerated_compute_metrics"],
        "eks-node-monitoring-agent" in addons,
        # What the stack installs the exporter for; test_eks holds whole environments to it.
        monitoring is GpuMonitoring.PROMETHEUS,
    ]
    assert owners.count(True) == 1


def test_charts_come_after_nodes_and_addons_and_go_before_them(template: Template) -> None:
    (chart,) = template.of_type("Custom::AWSCDK-EKS-HelmChart")
    (nodes,) = template.of_type("AWS::EKS::Nodegroup")
    networking = {
        key
        for key, body in template.of_type("AWS::EKS::Addon").items()
        if body["Properties"]["AddonName"] == "vpc-cni"
    }
    (access,) = [
        key
        for key, body in template.of_type("AWS::EKS::AccessEntry").items()
        if "KubectlRole" in json.dumps(body["Properties"]["PrincipalArn"])
    ]
    (admission,) = [
        key
        for key, body in template.of_type("AWS::EC2::SecurityGroupIngress").items()
        if "ClusterSecurityGroupId" in json.dumps(body["Properties"]["GroupId"])
    ]
    assert {nodes, access, admission, *networking} <= predecessors(template, chart)


def test_charts_are_pinned_and_wait_for_nothing(template: Template) -> None:
    (chart,) = template.properties("Custom::AWSCDK-EKS-HelmChart")
    assert chart["Repository"] == CHART.repository
    assert chart["Version"] == "1.2.3"
    assert chart["Timeout"] == "600s"
    assert "Wait" not in chart
    assert json.loads(chart["Values"]) == {"replicas": 2}


def test_objects_are_applied_one_by_one_without_pruning(template: Template) -> None:
    (applied,) = template.properties("Custom::AWSCDK-EKS-KubernetesResource")
    (namespace,) = json.loads(applied["Manifest"])
    assert namespace == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "example"},
    }
    assert applied["Overwrite"] is True
    assert "PruneLabel" not in applied


def test_kubectl_runs_in_private_subnets_with_its_own_few_permissions(template: Template) -> None:
    functions = template.properties("AWS::Lambda::Function")
    (handler,) = [function for function in functions if function["Handler"] == "index.handler"]
    assert all("Private" in subnet["Ref"] for subnet in handler["VpcConfig"]["SubnetIds"])
    role = template.resources[handler["Role"]["Fn::GetAtt"][0]]["Properties"]
    assert "ManagedPolicyArns" not in role
    (policy,) = [
        policy["PolicyDocument"]["Statement"]
        for policy in template.properties("AWS::IAM::Policy")
        if policy["Roles"] == [{"Ref": handler["Role"]["Fn::GetAtt"][0]}]
    ]
    allowed = {
        action
        for statement in policy
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    }
    assert {"eks:DescribeCluster", "logs:CreateLogStream", "logs:PutLogEvents"} <= allowed
    assert not [action for action in allowed if action.startswith(("iam:", "s3:", "kms:"))]


def test_no_function_holds_the_group_that_eks_deletes_with_the_cluster(
    template: Template,
) -> None:
    groups = [
        group
        for function in template.properties("AWS::Lambda::Function")
        for group in function.get("VpcConfig", {}).get("SecurityGroupIds", [])
    ]
    assert len(groups) == 2
    assert all("KubectlSecurityGroup" in group["Fn::GetAtt"][0] for group in groups)
    (admitted,) = [
        rule
        for rule in template.properties("AWS::EC2::SecurityGroupIngress")
        if rule["GroupId"]["Fn::GetAtt"][1] == "ClusterSecurityGroupId"
    ]
    assert admitted["SourceSecurityGroupId"] == groups[0]
    assert (admitted["FromPort"], admitted["ToPort"]) == (443, 443)


def test_an_existing_vpc_needs_no_lookup_and_gives_no_warning() -> None:
    root = app()
    stack = cdk.Stack(root, "Test", env=ENVIRONMENT)
    vpc = ec2.Vpc.from_vpc_attributes(
        stack,
        "Vpc",
        vpc_id="vpc-1",
        vpc_cidr_block="10.0.0.0/16",
        availability_zones=ZONES[:2],
        private_subnet_ids=["subnet-a", "subnet-b"],
        public_subnet_ids=["subnet-c", "subnet-d"],
    )
    EksCluster(stack, "Cluster", name="test", vpc=vpc, cluster=Cluster())
    synthesised_stack = root.synth().get_stack_by_name("Test")
    told = [m for m in synthesised_stack.messages if m.id.startswith("/Test/Cluster")]
    assert [str(message.entry.data) for message in told] == []
    network = Template(synthesised_stack.template).only("AWS::EKS::Cluster")["ResourcesVpcConfig"]
    assert network["SubnetIds"] == ["subnet-a", "subnet-b"]


def test_the_volumes_key_serves_this_accounts_instances_and_nobody_else(
    template: Template,
) -> None:
    (policy,) = [
        body["Properties"]["KeyPolicy"]["Statement"]
        for key, body in template.of_type("AWS::KMS::Key").items()
        if key.startswith("VolumeKey")
    ]
    opened = [statement for statement in policy if statement["Principal"] == {"AWS": "*"}]
    assert len(opened) == 2
    for statement in opened:
        assert statement["Condition"]["StringEquals"] == {
            "kms:CallerAccount": "111111111111",
            "kms:ViaService": "ec2.us-east-2.amazonaws.com",
        }
    (granting,) = [s for s in opened if s["Action"] == "kms:CreateGrant"]
    assert granting["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}


def test_nodes_cannot_change_the_network_themselves(template: Template) -> None:
    (policies,) = [
        json.dumps(body["Properties"]["ManagedPolicyArns"])
        for key, body in template.of_type("AWS::IAM::Role").items()
        if key.startswith("SystemNodes")
    ]
    assert "AmazonEKSWorkerNodePolicy" in policies
    assert "AmazonEKS_CNI_Policy" not in policies


def configuration(template: Template, addon: str) -> Any:
    (text,) = [
        properties["ConfigurationValues"]
        for properties in template.properties("AWS::EKS::Addon")
        if properties["AddonName"] == addon
    ]
    return json.loads(text)
