"""A VPC that is there already, for constructs that take one."""

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2

from tests.constructs.synthesis import ZONES


def existing_vpc(stack: cdk.Stack, **public_subnets: Any) -> ec2.IVpc:
    """Return a VPC with a private subnet in each of two zones, and ``public_subnets``."""
    return ec2.Vpc.from_vpc_attributes(
        stack,
        "Vpc",
        vpc_id="vpc-0123456789abcdef0",
        vpc_cidr_block="10.0.0.0/16",
        availability_zones=ZONES[:2],
        private_subnet_ids=["subnet-0000000a", "subnet-0000000b"],
        private_subnet_route_table_ids=["rtb-private-a", "rtb-private-b"],
        **public_subnets,
    )
