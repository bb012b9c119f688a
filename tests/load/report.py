"""What a run has to say: figures for the reader, and what went wrong."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Report:
    """The outcome of one run.

    Attributes:
        title: What was done.
        figures: What was counted and measured, in the order in which it is printed.
        problems: What should not have happened; none is a success.
    """

    title: str
    figures: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def require(self, promise: bool, otherwise: str) -> None:
        """Note a problem unless the promise holds."""
        if not promise:
            self.problems.append(otherwise)

    def __str__(self) -> str:
        lines = [self.title, "", "| what | seen |", "| --- | --- |"]
        lines += [f"| {name} | {seen} |" for name, seen in self.figures.items()]
        lines += ["", *(f"PROBLEM: {problem}" for problem in self.problems)] if self.problems else ["", "No problem."]
        return "\n".join(lines)
