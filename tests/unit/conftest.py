"""Few examples for each property here, many in the thorough run.

python -m pytest tests/unit -m hypothesis --hypothesis-profile full
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("quick", max_examples=20, deadline=None)
settings.register_profile("full", max_examples=200, deadline=None)
settings.load_profile("quick")
