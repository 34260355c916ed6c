"""Hypothesis strategies: streams of events, and cuts of a stream into batches.

Importing this registers the profiles `dev`, `ci` and `long`; HYPOTHESIS_PROFILE picks one.
"""

import os

from hypothesis import HealthCheck, Phase, settings

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile("dev", max_examples=40, deadline=None, suppress_health_check=_SLOW)
settings.register_profile(
    "ci",
    max_examples=60,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking is for who mends it
    print_blob=True,
    suppress_health_check=_SLOW,
)
settings.register_profile("long", max_examples=3_000, deadline=None, suppress_health_check=_SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
