"""The data report as a page: Markdown, for a person who has not seen the data."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from export.dataset.folder import Manifest
from export.dataset.report import QUANTILES, Report

_SPLIT_ROWS: Final = {
    "events": "events",
    "rows": "scored rows",
    "users": "users",
    "rows_of_users_not_in_train": "rows of users that train has not seen",
    "rows_of_unknown_items": "rows whose item is not in the vocabulary",
    "next_items_unknown": "next items not in the vocabulary",
    "sequences": "sequences",
}
_LABEL_ROWS: Final = {
    "next_item_known": "next item is known",
    "next_event_known": "next event is known",
    "purchase_known": "purchase horizon was seen",
    "purchase_rate": "purchase, of those",
}
_MS_PER_HOUR: Final = 3_600_000


def render(manifest: Manifest, report: Report) -> str:
    """Lay the report out."""
    users, far = report["users"], report["outliers"]
    lines = [
        "# Data report",
        "",
        _summary(manifest, report["counts"]),
        "",
        *_outcomes(report),
        "",
        "## Missing, repeated, far out",
        *_table(["field", "not given"], [(n, _percent(v)) for n, v in report["missing"].items()]),
        "",
        _odd(report),
        "",
        "## Users",
        _visits(users),
        *_quantile_table(
            {
                "events of a user": (users["events"], 1),
                "hours between a user's events": (users["gap_ms"], _MS_PER_HOUR),
                "price, currency units": (far["price_cents"], 100),
                "quantity": (far["quantity"], 1),
            }
        ),
        "",
        "## Splits",
        *_splits(report["splits"]),
        "",
        "Steps of a sequence, by split:",
        *_quantile_table(
            {name: (split["sequence_steps"], 1) for name, split in report["splits"].items()}
        ),
    ]
    return "\n".join(lines) + "\n"


def _summary(manifest: Manifest, counts: Report) -> str:
    made = "simulated: it says nothing about a real shop" if manifest.synthetic else "as it came"
    return (
        f"Source: {manifest.source['kind']} ({made}). Command: `{manifest.command}`.\n"
        f"{counts['events']:,} events, {counts['rows']:,} scored rows, {counts['users']:,} users,"
        f" {counts['partitions']} partitions; {counts['items']:,} items and"
        f" {counts['categories']:,} categories in train (items from {manifest.items_from})."
    )


def _outcomes(report: Report) -> list[str]:
    counts = report["counts"]
    return [
        "## What became of the events",
        *_table(["outcome", "events"], counts["outcomes"].items()),
        "",
        f"Late: {counts['late']:,} scored rows.",
        *_quantile_table({"late by, hours": (report["late_ms"], _MS_PER_HOUR)}),
        "",
        *_table(["dead letters, reason", "events"], _nonzero(counts["dead_letters"])),
        "",
        *_table(["event type", "scored events"], counts["types"].items()),
        "",
        *_table(["action", "steps"], counts["actions"].items()),
    ]


def _odd(report: Report) -> str:
    far = report["outliers"]
    return (
        f"Steps that repeat another under a new event id: {report['repeated']:,}. Far above (ten"
        f" times the 99th percentile), and kept: prices {far['prices_far_above']:,}, quantities"
        f" {far['quantities_far_above']:,}, users by events {far['users_with_far_more_events']:,}."
    )


def _visits(users: Report) -> str:
    return (
        f"{users['visits']:,} visits (30 min apart), on average {users['events_per_visit']} events"
        " each."
    )


def _splits(splits: dict[str, Report]) -> list[str]:
    rows: list[tuple[str, ...]] = [
        ("from", *(_stamp(split["from_ms"]) for split in splits.values())),
        ("until", *(_stamp(split["until_ms"]) for split in splits.values())),
    ]
    rows += [
        (text, *(_cell(s[name]) for s in splits.values())) for name, text in _SPLIT_ROWS.items()
    ]
    labels = [split["labels"] for split in splits.values()]
    rows += [(text, *(_cell(one[name]) for one in labels)) for name, text in _LABEL_ROWS.items()]
    bins = range(len(labels[0]["hazard_known"]))
    rows += [
        (f"silence bin {b + 1}: known, active",
         *(f"{_percent(one['hazard_known'][b])}, {_percent(one['hazard_rate'][b])}"
           for one in labels))
        for b in bins
    ]  # fmt: skip
    return _table(["", *splits], rows)


def _table(header: list[str], rows: Iterable[tuple[Any, ...]]) -> list[str]:
    body = [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    rule = f"|{'|'.join(['---', *['---:'] * (len(header) - 1)])}|"
    return [f"| {' | '.join(header)} |", rule, *body] if body else []


def _quantile_table(columns: dict[str, tuple[dict[str, float] | None, float]]) -> list[str]:
    rows = [
        (name, *(f"{held[f'{q:g}'] / unit:,.2f}" for q in QUANTILES))
        for name, (held, unit) in columns.items()
        if held is not None
    ]
    return ["", *_table(["", "least", "25 %", "median", "75 %", "90 %", "99 %", "most"], rows)]


def _nonzero(counts: dict[str, int]) -> list[tuple[str, int]]:
    return [(name, count) for name, count in counts.items() if count]


def _cell(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return _percent(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.1%}"


def _stamp(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
