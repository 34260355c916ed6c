"""Killed, halted, joined and left under load, on a real Kafka (docs/failure-modes.md)."""
