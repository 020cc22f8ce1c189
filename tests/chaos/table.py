"""The table of goals: one row each, with what was measured and whether it is reached."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    """`reached` is None for what is only told."""

    what: str
    goal: str
    measured: str
    reached: bool | None


@dataclass
class Table:
    """The rows of one set-up, in the order in which they are judged."""

    setup: str
    rows: list[Row] = field(default_factory=list)
    details: list[str] = field(default_factory=list)

    def zero(self, what: str, found: list[str], of: str = "") -> None:
        """A goal of none: `found` says what there was, one sentence each."""
        self.rows.append(Row(what, "0", f"{len(found)}{f' of {of}' if of else ''}", not found))
        self.details += [f"{what}: {one}" for one in found[:20]]

    def add(self, what: str, goal: str, measured: str, reached: bool | None) -> None:
        self.rows.append(Row(what, goal, measured, reached))

    @property
    def missed(self) -> bool:
        return any(row.reached is False for row in self.rows)


def markdown(tables: list[Table]) -> str:
    """All set-ups beside each other."""
    head = ["", "goal", *(table.setup for table in tables)]
    lines = [_line(head), _line(["---"] * len(head))]
    names = list(dict.fromkeys((row.what, row.goal) for table in tables for row in table.rows))
    for what, goal in names:
        cells = [what, goal]
        for table in tables:
            row = next((one for one in table.rows if (one.what, one.goal) == (what, goal)), None)
            if row is None:
                cells.append("–")
            else:
                cells.append(row.measured if row.reached is not False else f"**{row.measured} ✗**")
        lines.append(_line(cells))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
