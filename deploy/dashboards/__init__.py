"""Grafana's dashboards, written by code: `python -m deploy.dashboards` (`--check` only compares).

Rules of the room: a query names metrics of stream/shell/metrics_table.py and recordings of
deploy/prometheus/rules, and picks workers by $job and $instance; a panel says in its description
what it shows, by which metric, and what to do about it; what may be empty says why (`no_value`).
"""
