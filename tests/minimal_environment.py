"""The least that an environment's file may say, for tests to add a table to."""

MINIMAL = """
account = "111111111111"
region = "us-east-2"
jurisdiction = "us"

[tags]
owner = "ml-platform"
cost-center = "research"

[network.vpc]
cidr = "10.40.0.0/16"
availability_zones = ["us-east-2a", "us-east-2b"]
"""

MINIMAL_WITH_ACCELERATORS = f"""{MINIMAL}accelerator_zone = "us-east-2b"
"""
