"""Forecart, the service: events in from Kafka, predictions and churn alerts out."""

import os

from stream.kernel_cache import choose_folder

# ONNX Runtime (from 1.29 on) tells its maker about processes, models and devices unless this is set
# before it is loaded. Whoever sets another value has decided.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
choose_folder()
