"""What stands around a HyperPod cluster in the platform."""

from dataclasses import dataclass

from aws_cdk import aws_ec2 as ec2

from llm_constructs.data_lake import DataLake
from llm_constructs.eks_cluster import EksCluster
from llm_constructs.lustre import LustreFileSystem
from llm_constructs.specs.hyperpod import HyperPod, Orchestrator
from llm_constructs.specs.problem import Problems


@dataclass(frozen=True, kw_only=True)
class HyperPodNeighbours:
    """What of the platform a cluster uses, where it exists."""

    vpc: ec2.IVpc
    accelerator_subnet: ec2.ISubnet | None = None
    file_system: LustreFileSystem | None = None
    lake: DataLake | None = None
    eks: EksCluster | None = None

    def subnet_in(self, zone: str | None) -> ec2.ISubnet | None:
        """Return the accelerator subnet if it lies in ``zone``, or else a private one.

        Without a zone, the accelerator subnet or the first private one.
        """
        choice = [*filter(None, [self.accelerator_subnet]), *self.vpc.private_subnets]
        return next((s for s in choice if zone in (None, s.availability_zone)), None)


def check_neighbours(subject: str, spec: HyperPod, neighbours: HyperPodNeighbours) -> None:
    """Raise :class:`SpecificationError` for what ``spec`` needs and ``neighbours`` lack."""
    problems = Problems(subject)
    problems.require(
        spec.orchestrator != Orchestrator.EKS or neighbours.eks is not None,
        "neighbours.eks",
        None,
        "A cluster that EKS orchestrates needs one of EKS.",
        'Give one, or set orchestrator = "slurm".',
    )
    for group in spec.groups:
        problems.require(
            neighbours.subnet_in(group.zone) is not None,
            f"groups.{group.name}.zone",
            group.zone,
            "The VPC has no private subnet there.",
            "Choose a zone that has one.",
        )
    problems.raise_if_any()
