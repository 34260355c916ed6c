"""Tests of stream.core."""
