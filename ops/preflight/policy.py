"""The least that preflight may do, written from what its checks say that they call."""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from ops.preflight.check import Check

PAGE_FILE: Final = "docs/preflight-permissions.md"

_PAGE: Final = """\
# What preflight may do

<!-- Written by `make docs` from ops/preflight; do not edit. -->

`python -m ops preflight` reads and changes nothing. Each of its checks says which calls it makes,
and this policy allows exactly those. Most of them list what an account has, so that IAM knows no
narrower resource for them. A check whose permission is missing says so, and the others still run.

```json
{policy}
```

| Check | Group | Calls |
| --- | --- | --- |
{rows}
"""


def page(checks: Iterable[Check]) -> str:
    """Return the content of :data:`PAGE_FILE`."""
    listed = tuple(checks)
    rows = [
        f"| {check.title} | {check.group} | "
        f"{', '.join(f'`{call.action}`' for call in sorted(check.calls))} |"
        for check in listed
    ]
    return _PAGE.format(policy=json.dumps(policy(listed), indent=2), rows="\n".join(rows))


def policy(checks: Iterable[Check]) -> dict[str, Any]:
    """Return an IAM policy that allows what ``checks`` call and nothing else."""
    actions: defaultdict[str, set[str]] = defaultdict(set)
    for check in checks:
        for call in check.calls:
            actions[call.action.partition(":")[0]].add(call.action)
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": f"Read{''.join(part.capitalize() for part in service.split('-'))}",
                "Effect": "Allow",
                "Action": sorted(names),
                "Resource": "*",
            }
            for service, names in sorted(actions.items())
        ],
    }
