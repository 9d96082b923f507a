"""ARNs of IAM roles, where an environment's file names them."""

import re
from typing import Final

ROLE_ARN: Final = re.compile(r"arn:aws(-us-gov)?:iam::\d{12}:role/[\w+=,.@/-]{1,512}")
"""Of one role, with its path: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html"""
