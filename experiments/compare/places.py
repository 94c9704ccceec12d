"""Where the study keeps its files."""

import dataclasses
import pathlib


@dataclasses.dataclass(frozen=True)
class Places:
    """Paths of cells.

    Attributes:
        workdir: `pathlib.Path` of converted data and unfinished cells.
        records: `pathlib.Path` of the records, one file per finished cell.
    """

    workdir: pathlib.Path
    records: pathlib.Path

    def data(self):
        return self.workdir / "data"

    def record(self, cell):
        return self.records / f"{cell.name}.json"

    def folder(self, cell):
        return self.workdir / "cells" / cell.name

    def lock(self, cell):
        return self.folder(cell) / "lock"
