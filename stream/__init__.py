"""Forecart, the service: events in from Kafka, predictions and churn alerts out."""

from stream.kernel_cache import choose_folder

choose_folder()
