"""``python -m ops.fabric``: judge the logs of a proof that another scheduler ran.

Of the standard library alone: ``jobs/slurm/all_reduce.sh`` runs it on a node of the cluster.
"""

import argparse
import json
import sys
from pathlib import Path

from ops.fabric.evidence import Expectation, judge, read_log


def main() -> int:
    """Print the verdict as JSON and what speaks against it; return 0 for a proof, else 1."""
    parser = argparse.ArgumentParser(prog="ops.fabric", description="Judge a proof of the fabric.")
    parser.add_argument("--nodes", type=int, required=True, help="How many took part.")
    parser.add_argument("--ranks", type=int, required=True, help="Of each node.")
    parser.add_argument("--efa-devices", type=int, required=True, help="Of each node.")
    parser.add_argument("--bus-floor", type=float, help="GB/s below which it fails.")
    parser.add_argument("logs", type=Path, nargs="+", help="One of each node: <index>.log.")
    parsed = parser.parse_args()
    expected = Expectation(
        nodes=parsed.nodes,
        ranks=parsed.ranks,
        efa_devices=parsed.efa_devices,
        bus_floor=parsed.bus_floor,
    )
    # NCCL writes what the host name is in, whatever its encoding.
    logs = {
        int(path.stem): read_log(path.read_text(encoding="utf-8", errors="replace"))
        for path in parsed.logs
    }
    verdict = judge(logs, expected)
    print(json.dumps(verdict.to_json()))  # noqa: T201
    for failure in verdict.failures:
        print(failure, file=sys.stderr)  # noqa: T201
    return 0 if verdict.proved else 1


if __name__ == "__main__":
    sys.exit(main())
