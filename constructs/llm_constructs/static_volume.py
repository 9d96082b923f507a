"""Storage that exists outside Kubernetes, as Kubernetes objects."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class StaticVolume:
    """A volume that many pods read and, unless it is ``read_only``, write, bound to one claim.

    Deleting the claim leaves the data alone. ``driver``, ``handle`` and ``attributes`` are what the
    CSI driver asks for; ``capacity_gib`` is told to the scheduler and not enforced.

    https://kubernetes.io/docs/concepts/storage/persistent-volumes/#reserving-a-persistentvolume
    """

    name: str
    namespace: str
    driver: str
    handle: str
    attributes: Mapping[str, str]
    mount_options: tuple[str, ...]
    capacity_gib: int
    read_only: bool = False

    @property
    def persistent_volume(self) -> dict[str, object]:
        """The PersistentVolume, which only the claim of :attr:`persistent_volume_claim` binds."""
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": self._volume_name},
            "spec": {
                "capacity": {"storage": f"{self.capacity_gib}Gi"},
                "volumeMode": "Filesystem",
                "accessModes": [self._access_mode],
                "persistentVolumeReclaimPolicy": "Retain",
                # An empty class keeps the default class from provisioning another volume.
                "storageClassName": "",
                "claimRef": {"namespace": self.namespace, "name": self.name},
                "mountOptions": list(self.mount_options),
                "csi": {
                    "driver": self.driver,
                    "volumeHandle": self.handle,
                    "volumeAttributes": dict(self.attributes),
                },
            },
        }

    @property
    def persistent_volume_claim(self) -> dict[str, object]:
        """The PersistentVolumeClaim that pods of ``namespace`` name."""
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "accessModes": [self._access_mode],
                "storageClassName": "",
                "volumeName": self._volume_name,
                "resources": {"requests": {"storage": f"{self.capacity_gib}Gi"}},
            },
        }

    @property
    def _volume_name(self) -> str:
        return f"{self.namespace}-{self.name}"

    @property
    def _access_mode(self) -> str:
        return "ReadOnlyMany" if self.read_only else "ReadWriteMany"
