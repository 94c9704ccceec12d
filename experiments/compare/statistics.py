"""Records of several seeds as one line: means, spreads, ratios."""

import dataclasses
import math
import statistics

from ..common.run_directory import read_json


@dataclasses.dataclass(frozen=True)
class Line:
    """One contender under one budget, over all seeds.

    Attributes:
        contender: string.
        records: tuple of dicts, one for every seed.
    """

    contender: str
    records: tuple

    @property
    def accuracy(self):
        """Mean share of the test set."""
        return self.mean("accuracy")

    @property
    def spread(self):
        """Standard deviation of the accuracy; `None` for a single seed."""
        if len(self.records) == 1:
            return None
        return statistics.stdev(r["accuracy"] for r in self.records)

    @property
    def seconds(self):
        """Mean time of the runs beside which nothing else trained, or None."""
        times = [r["seconds"] for r in self.records if _is_alone(r)]
        return statistics.fmean(times) if times else None

    def mean(self, key):
        return statistics.fmean(record[key] for record in self.records)

    def share(self, key, of):
        """Mean of one number as a share of another in the same record."""
        return statistics.fmean(r[key] / r[of] for r in self.records)

    def distance(self, other):
        """Difference of accuracies in units of their common spread.

        Args:
            other: a `Line`.

        Returns:
            Float, or `None` where a single seed has no spread or both have
            none.

        Example:

        >>> a = Line("a", ({"accuracy": 0.90}, {"accuracy": 0.92}))
        >>> b = Line("b", ({"accuracy": 0.86}, {"accuracy": 0.88}))
        >>> round(a.distance(b), 2)
        2.83
        """
        if self.spread is None or other.spread is None:
            return None
        common = math.sqrt((self.spread**2 + other.spread**2) / 2)
        if common == 0:
            return None
        return (self.accuracy - other.accuracy) / common

    def time_ratio(self, other, key="seconds"):
        """Mean ratio of times over seeds that ran on equal machines.

        Args:
            other: a `Line`.
            key: `"seconds"` or `"core_seconds"`.

        Returns:
            Float, or `None` where no seed of both ran on equal machines with
            equal software, and alone.
        """
        theirs = {record["seed"]: record for record in other.records}
        ratios = [
            record[key] / theirs[record["seed"]][key]
            for record in self.records
            if record["seed"] in theirs
            and _is_alone(record)
            and _is_alone(theirs[record["seed"]])
            and _place(record) == _place(theirs[record["seed"]])
        ]
        return statistics.fmean(ratios) if ratios else None


def _place(record):
    return record["hardware"], record["software"]


def _is_alone(record):
    # Records of before it was asked come from processor cores of their own.
    return record.get("alone", True)


class Records:
    """The records of a directory.

    Args:
        directory: `pathlib.Path` of JSON files.
    """

    def __init__(self, directory):
        self._by_name = {
            path.stem: read_json(path) for path in directory.glob("*.json")
        }

    def __len__(self):
        return len(self._by_name)

    def line(self, study, setting, budget, contender):
        """One contender of a study, or `None` without records.

        Args:
            study: a `grid.Study`.
            setting: string, its name.
            budget: float.
            contender: string, its name.
        """
        found = [
            self._by_name[cell.name]
            for cell in study.cells()
            if cell.name in self._by_name
            and (cell.setting.name, cell.contender.name) == (setting, contender)
            # The dense network has no budget.
            and (cell.budget == budget or cell.contender.kind == "dense")
        ]
        return Line(contender, tuple(found)) if found else None

    def lines(self, study, setting, budget):
        """All contenders of a study that have records, in its order."""
        lines = (
            self.line(study, setting, budget, name) for name in study.contenders
        )
        return [line for line in lines if line is not None]

    def of(self, study):
        """All records of a study's cells."""
        names = [cell.name for cell in study.cells()]
        return [self._by_name[n] for n in names if n in self._by_name]
