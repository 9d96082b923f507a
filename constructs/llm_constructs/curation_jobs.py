"""The job definitions of the curation pipeline: what each stage runs, and what it may touch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from aws_cdk import Duration, Size
from aws_cdk import aws_batch as batch
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from llm_constructs.data_lake import DataLake
from llm_constructs.lake_access import acknowledge_lake_access
from llm_constructs.nag import acknowledge
from llm_constructs.service_role import TaskRole
from llm_constructs.specs.curation import Curation, JobSize
from llm_constructs.specs.data_lake import LakeArea

_USER = "65532:65532"
"""The image's user, who owns nothing in it."""

_TMP = "/tmp"  # noqa: S108 - a volume of the job's own

PAIRS = "pairs/"
"""The folder of the curated area in which a GPU deduplicator leaves what it found."""


class Stage(StrEnum):
    """The stages, by the names of the job's commands, in their order."""

    PLAN = "plan"
    FILTER = "filter"
    DEDUPLICATE = "deduplicate"
    TOKENISE = "tokenise"
    PUBLISH = "publish"


ARRAYS = frozenset({Stage.FILTER, Stage.TOKENISE})
"""Stages that several workers share."""


@dataclass(frozen=True)
class Access:
    """The areas of the lake that a stage reads and adds to. No stage deletes anything."""

    reads: tuple[LakeArea, ...]
    adds: tuple[LakeArea, ...]


ACCESS: Mapping[Stage, Access] = {
    Stage.PLAN: Access((LakeArea.RAW, LakeArea.CURATED), (LakeArea.CURATED,)),
    Stage.FILTER: Access((LakeArea.RAW, LakeArea.CURATED), (LakeArea.CURATED, LakeArea.REJECTED)),
    Stage.DEDUPLICATE: Access((LakeArea.CURATED,), (LakeArea.CURATED,)),
    Stage.TOKENISE: Access((LakeArea.CURATED,), (LakeArea.CURATED,)),
    # It looks at what it published, to leave it alone.
    Stage.PUBLISH: Access((LakeArea.CURATED, LakeArea.DATASETS), (LakeArea.DATASETS,)),
}


class CurationJobs(Construct):
    """One job definition for each stage, as ``definitions``, and ``gpu`` if there is one.

    Each has a role of its own for what :data:`ACCESS` says, and writes to ``log_group``.
    ``instance_role`` is allowed to pull the images.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        curation: Curation,
        lake: DataLake,
        log_group: logs.ILogGroup,
        instance_role: iam.IRole,
    ) -> None:
        super().__init__(scope, construct_id)
        self._curation = curation
        self._lake = lake
        self._log_group = log_group
        self._execution_role = TaskRole(
            self, "ExecutionRole", description="Pulls images and writes logs"
        )
        log_group.grant_write(self._execution_role)
        acknowledge(
            self._execution_role,
            "AwsSolutions-IAM5[Resource::*]",
            reason="ecr:GetAuthorizationToken knows no resources; what the token may pull is the "
            "repositories that the statement beside it names.",
        )
        repository = self._repository("Repository", curation.repository, instance_role)
        self.definitions = {stage: self._make_definition(stage, repository) for stage in Stage}
        self.gpu = self._make_gpu_definition(instance_role)

    def _repository(
        self, construct_id: str, name: str, instance_role: iam.IRole
    ) -> ecr.IRepository:
        repository = ecr.Repository.from_repository_name(self, construct_id, name)
        # On instances of one's own the agent pulls with the instance's role.
        # https://docs.aws.amazon.com/AmazonECR/latest/userguide/ECR_on_ECS.html
        repository.grant_pull(instance_role)
        return repository

    def _make_definition(self, stage: Stage, repository: ecr.IRepository) -> batch.EcsJobDefinition:
        curation = self._curation
        large = stage is Stage.DEDUPLICATE
        return self._definition(
            stage.value.capitalize(),
            image=ecs.ContainerImage.from_ecr_repository(repository, curation.version),
            command=command_of(stage, curation),
            environment=self._environment(stage),
            size=curation.deduplication_size if large else curation.worker_size,
            role=self._stage_role(stage),
        )

    def _make_gpu_definition(self, instance_role: iam.IRole) -> batch.EcsJobDefinition | None:
        gpu = self._curation.gpu_deduplication
        if gpu is None:
            return None
        repository = self._repository("GpuRepository", gpu.repository, instance_role)
        role = TaskRole(self, "GpuRole", description="Finds similar documents on GPUs")
        self._allow(role, Access((LakeArea.CURATED,), (LakeArea.CURATED,)))
        work = self._lake.location(LakeArea.CURATED)
        return self._definition(
            "Gpu",
            image=ecs.ContainerImage.from_ecr_repository(repository, gpu.version),
            command=gpu.command,
            environment={"CURATION_WORK": work.uri},
            size=gpu.size,
            role=role,
            gpus=gpu.gpus,
        )

    def _environment(self, stage: Stage) -> dict[str, str]:
        """Return the variables of the job's options that are the same in every execution."""
        curation, lake = self._curation, self._lake
        work = {"CURATION_WORK": lake.location(LakeArea.CURATED).uri}
        match stage:
            case Stage.PLAN:
                models = lake.location(LakeArea.MODELS).uri
                return {
                    **work,
                    "CURATION_TOKENIZER": f"{models}{curation.tokenizer}",
                    "CURATION_RULES": curation.rules.as_json(),
                }
            case Stage.FILTER:
                return {**work, "CURATION_REJECTED": lake.location(LakeArea.REJECTED).uri}
            case Stage.PUBLISH:
                datasets = lake.location(LakeArea.DATASETS).uri
                return {**work, "CURATION_OUTPUT": f"{datasets}{curation.dataset}/"}
            case _:
                return work

    def _stage_role(self, stage: Stage) -> TaskRole:
        role = TaskRole(
            self, f"{stage.value.capitalize()}Role", description=f"The stage {stage} of curation"
        )
        self._allow(role, ACCESS[stage])
        if stage is Stage.PLAN:
            models = self._lake.location(LakeArea.MODELS)
            models.bucket.grant_read(role, f"{models.prefix}{self._curation.tokenizer}")
        return role

    def _allow(self, role: iam.IRole, access: Access) -> None:
        for area in access.reads:
            self._lake.grant_read(area, role)
        for area in access.adds:
            self._lake.grant_put(area, role)
        areas = dict.fromkeys((*access.reads, *access.adds))
        acknowledge_lake_access(
            role,
            *(area.prefix for area in areas),
            reason="A stage works on objects whose names are hashes of what they hold, so it is "
            "given whole areas of the lake.",
        )

    def _definition(
        self,
        construct_id: str,
        *,
        image: ecs.ContainerImage,
        command: Sequence[str],
        environment: Mapping[str, str],
        size: JobSize,
        role: iam.IRole,
        gpus: int | None = None,
    ) -> batch.EcsJobDefinition:
        container = batch.EcsEc2ContainerDefinition(
            self,
            f"{construct_id}Container",
            image=image,
            command=[*command],
            environment=dict(environment),
            cpu=size.vcpus,
            memory=Size.mebibytes(size.memory_mib),
            gpu=gpus,
            job_role=role,
            execution_role=self._execution_role,
            logging=ecs.LogDrivers.aws_logs(
                stream_prefix=construct_id.lower(), log_group=self._log_group
            ),
            readonly_root_filesystem=True,
            # Somebody else's image decides itself whom it runs as.
            user=None if gpus else _USER,
            volumes=[batch.EcsVolume.host(name="tmp", container_path=_TMP)],
        )
        return batch.EcsJobDefinition(
            self,
            construct_id,
            container=container,
            retry_attempts=self._curation.attempts,
            # https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html
            retry_strategies=[
                batch.RetryStrategy.of(batch.Action.RETRY, batch.Reason.SPOT_INSTANCE_RECLAIMED),
                batch.RetryStrategy.of(batch.Action.EXIT, batch.Reason.custom(on_reason="*")),
            ],
            timeout=Duration.hours(self._curation.stage_hours),
            propagate_tags=True,
        )


def command_of(stage: Stage, curation: Curation) -> tuple[str, ...]:
    """Return what the job's command line is given for a stage; the rest is in its environment."""
    workers = ("--workers", str(curation.workers)) if stage in ARRAYS else ()
    return (stage.value, *workers)
