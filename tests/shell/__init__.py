"""Tests of stream/shell."""
