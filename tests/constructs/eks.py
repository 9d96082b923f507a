"""A small VPC and a cluster in it, for the tests of what runs on clusters."""

import aws_cdk as cdk
from aws_cdk import RemovalPolicy
from aws_cdk import aws_ec2 as ec2

from llm_constructs.eks_cluster import EksCluster
from llm_constructs.specs.eks import Cluster
from tests.constructs.synthesis import ZONES


def vpc_of(stack: cdk.Stack) -> ec2.Vpc:
    """Return a VPC with private, isolated and public subnets in two zones."""
    kinds = {
        "Private": ec2.SubnetType.PRIVATE_WITH_EGRESS,
        "Isolated": ec2.SubnetType.PRIVATE_ISOLATED,
        "Public": ec2.SubnetType.PUBLIC,
    }
    return ec2.Vpc(
        stack,
        "Vpc",
        availability_zones=ZONES[:2],
        nat_gateways=1,
        subnet_configuration=[
            ec2.SubnetConfiguration(name=name, subnet_type=kind) for name, kind in kinds.items()
        ],
    )


def cluster_in(
    stack: cdk.Stack,
    cluster: Cluster | None = None,
    *,
    removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
) -> EksCluster:
    """Return a cluster called ``test`` in a VPC of its own."""
    return EksCluster(
        stack,
        "Cluster",
        name="test",
        vpc=vpc_of(stack),
        cluster=cluster or Cluster(),
        removal_policy=removal_policy,
    )
