"""ARNs of keys, where an environment's file names them."""

import re
from typing import Final

KEY_ARN: Final = re.compile(r"arn:aws[a-z-]*:kms:([a-z0-9-]+):(\d{12}):key/[a-f0-9-]+")
"""Of one key, with its region and account.

https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id-key-ARN
"""
