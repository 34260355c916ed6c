"""Tests of training and export."""
