"""The security group of instances that reach each other over EFA."""

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from llm_constructs.nag import acknowledge


class FabricSecurityGroup(ec2.SecurityGroup):
    """A group that allows its members all traffic among themselves, as EFA needs, and nothing else.

    ``traffic`` says in the rules what it is. The group does not allow all outbound traffic: it
    would lose the outbound rule to itself, without which EFA does not work:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-start.html
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, vpc: ec2.IVpc, description: str, traffic: str
    ) -> None:
        super().__init__(
            scope, construct_id, vpc=vpc, description=description, allow_all_outbound=False
        )
        self.add_ingress_rule(self, ec2.Port.all_traffic(), traffic)
        self.add_egress_rule(self, ec2.Port.all_traffic(), traffic)
        acknowledge(
            self,
            "HIPAA.Security-EC2RestrictedCommonPorts",
            "NIST.800.53.R5-EC2RestrictedCommonPorts",
            "PCI.DSS.321-EC2RestrictedCommonPorts",
            reason="EFA works only in a security group that allows itself all traffic both ways "
            "(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-start.html). The rule names "
            "the group of the nodes, never an address range.",
        )
