"""``python3 <this folder> <sequence or step>``: make this node what ``settings.json`` says."""

import sys

from hyperpod_node.sequence import main

sys.exit(main(sys.argv[1:]))
