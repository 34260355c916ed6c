"""Tests of stream/wire: events in, outputs out, without a broker."""
