"""The contenders: a module each, with setup, run and teardown (tests/bench/case.py)."""
