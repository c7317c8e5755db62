"""What this machine has must not change what tests see."""

import os

os.environ["GOME_EMBEDDING"] = "lexical"  # `auto` uses the weights that lie in the user's cache
