"""Volumes without a driver, and writing to what can only be read."""

from typing import Any

import pytest

from llm_constructs.specs.problem import Problems
from ops.kubernetes.contents import ClusterContents
from ops.kubernetes.volumes import check_volumes
from tests.ops.kubernetes.clusters import cluster, named, workload

S3: Any = (("aws-mountpoint-s3-csi-driver", {}),)
VOLUME = named("PersistentVolume", "weights", None, spec={"csi": {"driver": "s3.csi.aws.com"}})
CLASS = named("StorageClass", "gp3", None, provisioner="ebs.csi.eks.amazonaws.com")


def told(contents: ClusterContents) -> str:
    problems = Problems("planted")
    check_volumes(contents, problems)
    return str(problems.error())


def mounting(*, access_mode: str, volume: bool = False, mount: bool = False) -> ClusterContents:
    container = {
        "name": "main",
        "volumeMounts": [{"name": "weights", "mountPath": "/weights", "readOnly": mount}],
    }
    claimed = {"claimName": "weights", "readOnly": volume}
    pod: dict[str, Any] = {
        "containers": [container],
        "volumes": [{"name": "weights", "persistentVolumeClaim": claimed}, {"name": "other"}],
    }
    claim = named("PersistentVolumeClaim", "weights", spec={"accessModes": [access_mode]})
    return cluster(claim, workload(**pod))


def test_a_volume_whose_driver_nobody_installs_is_told() -> None:
    assert "'s3.csi.aws.com': No add-on installs this driver" in told(cluster(VOLUME))
    assert told(cluster(VOLUME, addons=S3)) == ""


def test_a_class_is_of_the_driver_of_the_clusters_nodes() -> None:
    assert "StorageClass gp3" in told(cluster(CLASS))
    assert told(cluster(CLASS, automatic=True)) == ""


@pytest.mark.parametrize(
    "made",
    [
        (CLASS, named("CSIDriver", "ebs.csi.eks.amazonaws.com", None)),
        (named("StorageClass", "local", None, provisioner="kubernetes.io/no-provisioner"),),
        (named("PersistentVolume", "disk", None, spec={"local": {"path": "/disk"}}),),
    ],
)
def test_a_driver_of_a_chart_or_none_at_all_is_enough(made: tuple[dict[str, Any], ...]) -> None:
    assert told(cluster(*made)) == ""


def test_a_pod_that_would_write_to_what_can_only_be_read_is_told() -> None:
    message = told(mounting(access_mode="ReadOnlyMany"))
    assert "The claim weights can only be read" in message
    assert "/weights" in message


@pytest.mark.parametrize("said_by", ["volume", "mount"])
def test_a_pod_that_says_that_it_reads_may_mount_it(said_by: str) -> None:
    assert told(mounting(access_mode="ReadOnlyMany", **{said_by: True})) == ""


def test_a_pod_may_write_where_writing_is_possible() -> None:
    assert told(mounting(access_mode="ReadWriteMany")) == ""
