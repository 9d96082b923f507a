"""An environment called ``team``: the least that its file may say, and what a file is read as."""

from pathlib import Path

import pytest

from config import ConfigError, Environment, load

EXISTING_VPC = """
[network.existing_vpc]
vpc_id = "vpc-0123456789abcdef0"
cidr = "10.0.0.0/16"
availability_zones = ["us-west-2a", "us-west-2b"]
private_subnet_ids = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
route_table_ids = ["rtb-0123456789abcdef0"]
accelerator_subnet_id = "subnet-0123456789abcdef2"
accelerator_zone = "us-west-2b"
"""


def without_network(region: str = "us-east-2", jurisdiction: str = "us") -> str:
    """Return what a file says before its network."""
    return f"""
account = "111111111111"
region = "{region}"
jurisdiction = "{jurisdiction}"

[tags]
owner = "ml-platform"
cost-center = "research"
"""


def minimal(region: str = "us-east-2", jurisdiction: str = "us") -> str:
    """Return the least that a file may say, for a test to add a table to."""
    return f"""{without_network(region, jurisdiction)}
[network.vpc]
cidr = "10.40.0.0/16"
availability_zones = ["{region}a", "{region}b"]
"""


def minimal_with_accelerators(region: str = "us-east-2") -> str:
    """Return the least for an environment with accelerators, which stand in its second zone."""
    return f"""{minimal(region)}accelerator_zone = "{region}b"
"""


MINIMAL = minimal()
MINIMAL_WITH_ACCELERATORS = minimal_with_accelerators()


def loaded(folder: Path, text: str) -> Environment:
    """Return the environment whose file in ``folder`` says ``text``."""
    (folder / "team.toml").write_text(text, encoding="utf-8")
    return load("team", folder)


def problems_of(folder: Path, text: str) -> str:
    """Return why ``text`` is refused."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text)
    return str(caught.value)
