"""Forecart, the service: events in from Kafka, predictions and churn alerts out."""
