"""Starting and ending, again and again, and when something goes wrong."""

import fcntl
import os
import socket
from pathlib import Path

import psutil
import pytest

from ops.fake_bedrock.server import FakeBedrock
from ops.local import processes
from ops.local.access import LocalCloudError
from ops.local.cloud import LocalCloud
from tests.local.conftest import ROOT

pytestmark = pytest.mark.emulator


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def lives_in(folder: Path, process: psutil.Process) -> bool:
    try:
        return process.environ().get("TMPDIR", "").startswith(str(folder))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def test_three_cycles_leave_no_process_port_or_file(installed: None, tmp_path: Path) -> None:
    for _ in range(3):
        cloud = LocalCloud(tmp_path / "cloud")
        cloud.start()
        running = [it for mark in cloud.marks.values() for it in processes.tree(mark)]
        ports = [cloud.access.port, cloud.access.plain_port]
        assert {name for name, mark in cloud.marks.items() if mark.process()} == {
            "bedrock",
            "emulator",
        }
        assert all(map(answers, ports))

        cloud.down()

        assert [process for process in running if processes.is_alive(process)] == []
        assert not any(map(answers, ports))
        assert list(tmp_path.iterdir()) == []


def test_a_second_cloud_in_the_same_place_is_refused(
    installed: None, bedrock: FakeBedrock, tmp_path: Path
) -> None:
    cloud = LocalCloud(tmp_path / "cloud", bedrock=bedrock.endpoint_url)
    try:
        cloud.start()
        with pytest.raises(LocalCloudError, match="A local cloud runs already"):
            LocalCloud(tmp_path / "cloud").up()
        assert cloud.running
    finally:
        cloud.down()


def test_two_people_do_not_start_or_end_one_cloud_at_once(tmp_path: Path) -> None:
    cloud = LocalCloud(tmp_path / "cloud")
    somebody = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(somebody, fcntl.LOCK_EX)
    try:
        for attempt in (cloud.up, cloud.down):
            with pytest.raises(LocalCloudError, match="Somebody is starting or ending"):
                attempt()
    finally:
        os.close(somebody)
    cloud.down()
    assert list(tmp_path.iterdir()) == []


def test_a_failure_ends_every_process_and_keeps_the_log(
    installed: None, bedrock: FakeBedrock, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "config").symlink_to(ROOT / "config")
    (project / "app.py").write_text("raise SystemExit('There is no app here.')\n")
    cloud = LocalCloud(tmp_path / "cloud", project=project, bedrock=bedrock.endpoint_url)
    # Not what those have started: the cloud of the other tests comes and goes as it likes.
    before = set(psutil.Process().children())

    with pytest.raises(LocalCloudError, match="There is no app here"):
        cloud.up()

    assert not cloud.running
    assert set(psutil.Process().children()) <= before
    assert [it for it in psutil.process_iter() if lives_in(cloud.folder, it)] == []
    assert "There is no app here." in (cloud.folder / "deployment.log").read_text()
    cloud.down()
