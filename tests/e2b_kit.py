"""Where the E2B tests are pointed: at the fake, or by environment variables at a real service."""

from __future__ import annotations

import os

REAL = os.environ.get("GOME_TEST_E2B") == "real"
TEMPLATE = os.environ.get("GOME_TEST_E2B_TEMPLATE") or None
