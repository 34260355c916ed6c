"""Tests of stream.served."""
