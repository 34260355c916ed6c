"""Tests of what is watched and by whom: dashboards, rules, runbooks; and a live Prometheus."""
