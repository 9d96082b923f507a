"""``python -m tests.faults``: write docs/planted-faults.md anew.

KUBERNETES_CRDS must name the folder of CRDs, for some objects are judged by those alone.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Judge every mistake, which takes about a minute, and write the page."""
    if "KUBERNETES_CRDS" not in os.environ:
        raise SystemExit("KUBERNETES_CRDS is not set. Name the folder of CRDs (docs/eks.md).")
    # The source roots, which pytest adds by itself (docs/adr/0002).
    sys.path[:0] = [str(ROOT / "constructs"), str(ROOT / "lambdas")]
    from tests.assembly import every_environment
    from tests.faults.catalogue import judged
    from tests.faults.page import PAGE_FILE, page

    PAGE_FILE.write_text(page(judged(every_environment()).items()), encoding="utf-8")


if __name__ == "__main__":
    main()
