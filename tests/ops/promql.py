"""What a PromQL expression asks for, checked against the metrics that there are.

`faults` says what is wrong with one: a metric that nobody exposes or records, a label that it has
not, a value outside a closed set. `labels_of` gives the labels of its result.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

from deploy.dashboards.ask import filled
from stream.shell.metrics_table import METRICS, OPEN, PARTITION, PREFIX

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules"
TARGET = {"job", "instance"}  # given by Prometheus to all it scrapes
# Not of our table: of Prometheus itself, and of prometheus_client's collector.
OTHERS: dict[str, dict[str, tuple[str, ...]]] = {
    "up": {},
    "process_start_time_seconds": {},
    "process_cpu_seconds_total": {},
    "process_resident_memory_bytes": {},
    "ALERTS": {
        "alertname": OPEN, "alertstate": ("pending", "firing"), "severity": ("page", "ticket"),
        "topic": OPEN, "head": OPEN,
    },
}  # fmt: skip


def parse(text: str) -> Any:
    return promql.parse(filled(text, "1m"))


@cache
def rule_groups() -> tuple[dict[str, Any], ...]:
    files = sorted(RULES.glob("*.yml"))
    return tuple(g for path in files for g in yaml.safe_load(path.read_text())["groups"])


def rules() -> list[dict[str, Any]]:
    return [rule for group in rule_groups() for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


@cache
def series() -> dict[str, dict[str, tuple[str, ...]]]:
    """By name of a series: its labels with their closed sets (OPEN: any value)."""
    found = dict(OTHERS)
    for metric in METRICS:
        labels = {n: OPEN if v == PARTITION else v for n, v in metric.labels.items()}
        if metric.kind != "histogram":
            found[PREFIX + metric.name] = labels
            continue
        edges = (*(str(float(edge)) for edge in metric.buckets), "+Inf")
        found[f"{PREFIX}{metric.name}_bucket"] = {**labels, "le": edges}
        found[f"{PREFIX}{metric.name}_sum"] = labels
        found[f"{PREFIX}{metric.name}_count"] = labels
    for rule in rules():
        if "record" in rule:
            found[rule["record"]] = dict.fromkeys(_labels(parse(rule["expr"]), found), OPEN)
    return found


def labels_of(text: str) -> set[str]:
    """Give the labels that the result of an expression has."""
    return _labels(parse(text), series())


def _labels(node: Any, known: dict[str, dict[str, tuple[str, ...]]]) -> set[str]:
    if isinstance(node, promql.VectorSelector):
        return set(known.get(node.name, {})) | TARGET
    if isinstance(node, promql.MatrixSelector):
        return _labels(node.vector_selector, known)
    if isinstance(node, promql.ParenExpr | promql.UnaryExpr):
        return _labels(node.expr, known)
    if isinstance(node, promql.AggregateExpr):
        if node.op.__str__() in {"topk", "bottomk"}:
            return _labels(node.expr, known)
        return set(node.modifier.labels) if node.modifier else set()
    if isinstance(node, promql.Call):
        if node.func.name == "absent":
            return {matcher.name for matcher in node.args[0].matchers.matchers}
        found = set().union(*(_labels(part, known) for part in node.args))
        if node.func.name == "label_replace":
            found.add(node.args[1].val)
        return found - ({"le"} if node.func.name == "histogram_quantile" else set())
    if isinstance(node, promql.BinaryExpr):
        left, right = _labels(node.lhs, known), _labels(node.rhs, known)
        if str(node.op) == "or":
            return left | right
        return left or right
    return set()


def names_in(text: str) -> set[str]:
    """Give the names of the series that an expression asks for."""
    return {node.name for node in _nodes(parse(text)) if isinstance(node, promql.VectorSelector)}


def _nodes(tree: Any) -> list[Any]:
    found: list[Any] = []
    promql.walk(tree, found.append)
    return found


def faults(text: str) -> list[str]:
    """Say what an expression asks for that is not there."""
    try:
        tree = parse(text)
    except ValueError as error:
        return [f"{error}: {text}"]
    wrong = []
    for node in _nodes(tree):
        if isinstance(node, promql.VectorSelector):
            wrong += _faults_of_selector(node)
        elif isinstance(node, promql.AggregateExpr) and node.modifier:
            lacking = set(node.modifier.labels) - _labels(node.expr, series())
            wrong += [f"no label {label!r} to aggregate by in: {text}" for label in lacking]
    return wrong


def _faults_of_selector(node: Any) -> list[str]:
    labels = series().get(node.name)
    if labels is None:
        return [f"nobody exposes or records {node.name}"]
    wrong = []
    for matcher in node.matchers.matchers:
        if matcher.name in TARGET:
            continue
        if matcher.name not in labels:
            wrong.append(f"{node.name} has no label {matcher.name!r}")
            continue
        closed = labels[matcher.name]
        values = matcher.value.split("|") if "Re" in str(matcher.op) else [matcher.value]
        if closed != OPEN:
            bad = [v for v in values if not any(re.fullmatch(v, value) for value in closed)]
            wrong += [f"{node.name}: {matcher.name} is never {value!r}" for value in bad]
    return wrong
