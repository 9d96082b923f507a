"""The table of regions agrees with what botocore knows."""

import botocore.session

from llm_constructs.specs.region import REGIONS, Jurisdiction


def test_every_commercial_and_government_region_has_a_jurisdiction() -> None:
    session = botocore.session.Session()
    known = {
        region
        for partition in ("aws", "aws-us-gov")
        for region in session.get_available_regions("ec2", partition)
    }
    assert set(REGIONS) == known


def test_no_jurisdiction_is_empty() -> None:
    assert set(REGIONS.values()) == set(Jurisdiction)
