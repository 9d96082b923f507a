"""Whether volumes have drivers, and nobody writes to what can only be read."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from llm_constructs.specs.problem import Problems
from ops.kubernetes.contents import ClusterContents
from ops.kubernetes.pods import PodTemplate, pods_of

ADDON_DRIVERS: Final[Mapping[str, str]] = {
    "aws-ebs-csi-driver": "ebs.csi.aws.com",
    "aws-fsx-csi-driver": "fsx.csi.aws.com",
    "aws-mountpoint-s3-csi-driver": "s3.csi.aws.com",
}
"""The driver that each add-on installs.

https://docs.aws.amazon.com/eks/latest/userguide/storage.html
"""

AUTOMATIC_DRIVER: Final = "ebs.csi.eks.amazonaws.com"
"""That of EKS Auto Mode.

https://docs.aws.amazon.com/eks/latest/userguide/create-storage-class.html
"""

_NO_DRIVER: Final = "kubernetes.io/no-provisioner"
"""What classes of volumes that are there already say.

https://kubernetes.io/docs/concepts/storage/storage-classes/#local
"""

_READING: Final = frozenset({"ReadOnlyMany"})


def check_volumes(contents: ClusterContents, problems: Problems) -> None:
    """Note volumes and classes without a driver, and pods that would write to read-only volumes."""
    drivers = set(_drivers(contents))
    for title, driver in _needed(contents):
        problems.require(
            driver in drivers,
            title,
            driver,
            "No add-on installs this driver, and pods with such a volume would not start.",
            "Add the add-on, or use another driver.",
        )
    read_only = {
        (claim.namespace, claim.name)
        for claim in contents.of_kind("PersistentVolumeClaim")
        if _READING.issuperset(claim.body["spec"].get("accessModes") or ("any",))
    }
    for pod in (pod for made in contents.objects for pod in pods_of(made)):
        for claim_name, mounts in _written(pod):
            problems.require(
                (pod.owner.namespace or "default", claim_name) not in read_only,
                pod.title,
                mounts,
                f"The claim {claim_name} can only be read, and these would be mounted to write.",
                "Say readOnly for the mounts or the volume.",
            )


def _drivers(contents: ClusterContents) -> Iterator[str]:
    for name, _ in contents.addons:
        if name in ADDON_DRIVERS:
            yield ADDON_DRIVERS[name]
    for made in contents.of_kind("CSIDriver"):
        yield made.name
    if contents.automatic:
        yield AUTOMATIC_DRIVER


def _needed(contents: ClusterContents) -> Iterator[tuple[str, str]]:
    for volume in contents.of_kind("PersistentVolume"):
        if "csi" in volume.body["spec"]:
            yield volume.title, volume.body["spec"]["csi"]["driver"]
    for storage in contents.of_kind("StorageClass"):
        if storage.body["provisioner"] != _NO_DRIVER:
            yield storage.title, storage.body["provisioner"]


def _written(pod: PodTemplate) -> Iterator[tuple[str, list[str]]]:
    """Yield the claims that a pod may write to, and where its containers mount them."""
    for volume in pod.spec.get("volumes", ()):
        source: Mapping[str, Any] = volume.get("persistentVolumeClaim", {})
        mounts = [
            mount["mountPath"]
            for container in pod.containers
            for mount in container.get("volumeMounts", ())
            if mount["name"] == volume["name"] and not mount.get("readOnly", False)
        ]
        if source and mounts and not source.get("readOnly", False):
            yield source["claimName"], mounts
