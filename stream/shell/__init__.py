"""Adapters to the outside: Faust, librdkafka, metrics, web. Thin; one outside library each."""
