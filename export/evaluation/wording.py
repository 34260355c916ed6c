"""Numbers and findings of a comparison in words, for a reader who knows none of its terms.

Rules of the room: every sentence is made from the numbers, and says how sure it is.
"""

from typing import Final

from export.evaluation.comparison import Answered, Cell
from export.evaluation.intervals import LEVEL
from export.evaluation.questions import COLUMNS, NAMES, PRIMARY, Column
from export.evaluation.runs import About
from export.models.contract import HAZARD, NEXT_ACTION, NEXT_ITEM, PURCHASE

BETTER: Final = "better"
WORSE: Final = "worse"
NOISE: Final = "noise"
SHIPPED: Final = "lstm"
BLIND: Final = ("base-rate", "popularity")  # the same answer whoever is asked about
_HOW: Final = {
    BETTER: "a real gain, more than drawing other users would explain",
    WORSE: "worse, though validation had promised more: do not rely on it",
    NOISE: "within noise, so the simpler one may do as well",
}
ASKS: Final = {
    NEXT_ITEM: "Which item comes next? Every known item is ranked; items that train has not seen "
    "cannot come, and rows whose next item is one are not asked.",
    NEXT_ACTION: "Of which type is the user's next event: click, search or purchase?",
    PURCHASE: "Will the user buy within the horizon after this event?",
    HAZARD: "Will a user who has been silent for a while stay silent for the horizon more?",
}


_TERMS: Final = {
    "row": "one event of a user at which every model was asked, all at the same ones",
    "[a, b]": f"the {100 * LEVEL:.0f} % interval: drawing other users of the same kind would put "
    "the value between a and b in 19 of 20 cases. Users are drawn, not rows, for a user's rows "
    "resemble each other. What another training seed would change is not in it",
    "difference": "the model's value minus that of the model named, on the same draws of users; "
    f"{BETTER} or {WORSE}: its interval leaves out 0; {NOISE}: it holds 0, so these data cannot "
    "tell the two apart",
    "chosen": "best on validation, the days before test; test was not looked at for it",
    "train s": "seconds of one core's time to fit, all questions together; **size**: of what was "
    "learned",
    "us a row": "millionths of a second of one core's time to answer for one row, median of 5 "
    "rounds over the same rows, in Python: it compares models and is not the service's speed",
    "baseline": "a rule so simple that a model must beat it to be worth its trouble",
}


def primary(question: str) -> Column:
    """Column by which models of a question are chosen."""
    return next(column for column in COLUMNS[question] if column.name == PRIMARY[question])


def number(value: float, column: Column, *, sign: bool = False) -> str:
    """Write a value as its column is shown."""
    plus = "+" if sign else ""
    return f"{100 * value:{plus}.1f}" if column.percent else f"{value:{plus}.{column.digits}f}"


def with_interval(cell: Cell, column: Column, *, sign: bool = False) -> str:
    """Write `value [lower, upper]`."""
    value, lower, upper = (number(part, column, sign=sign) for part in cell)
    return f"{value} [{lower}, {upper}]"


def verdict(cell: Cell, column: Column) -> str:
    """Say whether a difference is better, worse or within noise."""
    if not cell.lower * cell.upper > 0:
        return NOISE
    return BETTER if cell.value * column.better > 0 else WORSE


def conclusion(answered: Answered, abouts: dict[str, About], *, synthetic: bool) -> str:
    """Say what to choose for a question, and how sure one can be."""
    column = primary(answered.question)
    row, name = answered.row(answered.chosen), NAMES[answered.question]
    where = " (synthetic data: nothing follows for a real shop)" if synthetic else ""
    said = [f"**{name}{where}: take `{answered.chosen}`.** {_achieves(answered, column)}"]
    if answered.chosen == answered.reference:
        said.append("It is itself a simple baseline: no model was better on validation.")
    else:
        apart = row.differences[column.name]
        found = verdict(apart, column)
        said.append(
            f"Minus the value of `{answered.reference}`, which it is judged beside, that is "
            f"{_difference(apart, column)}: {_HOW[found]}."
        )
    told = {answered.chosen, answered.reference}
    if any(row.model == SHIPPED for row in answered.rows) and SHIPPED not in told:
        apart = answered.row(SHIPPED).differences[column.name]
        said.append(
            f"`{SHIPPED}`, which `export train` ships, minus `{answered.reference}`: "
            f"{_difference(apart, column)}, {verdict(apart, column)}."
        )
    alike = answered.alike()
    if alike:
        said.append(_alike(answered, alike, abouts))
    else:
        said.append("Every other model is further away than noise.")
    return " ".join(said)


def legend(questions: list[str]) -> list[str]:
    """Terms of the report, each in a line."""
    terms = [f"**{name}**: {text}." for name, text in _TERMS.items()]
    seen: dict[str, str] = {}
    for question in questions:
        for column in COLUMNS[question]:
            more = "more is better" if column.better > 0 else "less is better"
            unit = ", in %" if column.percent else ""
            text = f"**{column.name}**{unit} ({NAMES[question].lower()}): {column.text}; {more}."
            if seen.get(column.name) != column.text:
                terms.append(text)
            seen[column.name] = column.text
    return terms


def size(value_bytes: int) -> str:
    """Write a size."""
    for unit, step in (("MB", 1e6), ("kB", 1e3)):
        if value_bytes >= step:
            return f"{value_bytes / step:,.1f} {unit}"
    return f"{value_bytes} B"


def _achieves(answered: Answered, column: Column) -> str:
    cell = answered.row(answered.chosen).values[column.name]
    if answered.question == NEXT_ITEM:
        return (
            f"The item that came is among its first 10 in {number(cell.value, column)} % of rows "
            f"(interval {number(cell.lower, column)} to {number(cell.upper, column)})."
        )
    area = next(c for c in COLUMNS[answered.question] if c.name == "ROC AUC")
    held = answered.row(answered.chosen).values["ROC AUC"]
    return (
        f"Its log-loss is {with_interval(cell, column)}; it tells cases apart with ROC AUC "
        f"{with_interval(held, area)}, where 0.5 is luck and 1 is perfect."
    )


def _difference(cell: Cell, column: Column) -> str:
    unit = " points" if column.percent else f" in {column.name}"
    lower, upper = number(cell.lower, column, sign=True), number(cell.upper, column, sign=True)
    return f"{number(cell.value, column, sign=True)}{unit} ({lower} to {upper})"


def _alike(answered: Answered, alike: list[str], abouts: dict[str, About]) -> str:
    question = answered.question
    names = ", ".join(f"`{name}`" for name in alike)
    said = f"Not to be told apart from it: {names}."
    blind = [name for name in alike if name in BLIND]
    if blind:
        said += f" `{blind[0]}` knows nothing of the user, so all of this is close to luck."
        return said
    cheap = min(alike, key=lambda name: abouts[name].row_us[question])
    cost, own = abouts[cheap].row_us[question], abouts[answered.chosen].row_us[question]
    if cost < own / 2:
        said += (
            f" Of these `{cheap}` is the cheapest to ask: {cost:.2g} us a row against {own:.2g}."
        )
    return said
