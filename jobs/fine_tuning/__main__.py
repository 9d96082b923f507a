"""``python -m fine_tuning``."""

import sys

from fine_tuning.cli import main

sys.exit(main())
