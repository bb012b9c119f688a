"""The report of a run: figures and problems."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Report:
    """The outcome of one run.

    Attributes:
        title: What was done.
        figures: What was counted and measured, in the order in which it is printed.
        problems: What must not happen; the run succeeds if the list is empty.
    """

    title: str
    figures: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def require(self, promise: bool, otherwise: str) -> None:
        """Add a problem unless the promise is kept."""
        if not promise:
            self.problems.append(otherwise)

    def __str__(self) -> str:
        lines = [self.title, "", "| what | seen |", "| --- | --- |"]
        lines += [f"| {name} | {seen} |" for name, seen in self.figures.items()]
        lines += ["", *(f"PROBLEM: {problem}" for problem in self.problems)] if self.problems else ["", "No problem."]
        return "\n".join(lines)
