"""The page: statistics by hand, sections, pictures, out of made-up records."""

import dataclasses
import json
import subprocess
import sys

import pytest

from experiments.compare import grid, page, pictures, short_table
from experiments.compare.statistics import Line, Records

STUDY = grid.STUDIES["headline_small"]
DENSE_FLOPS, EPOCHS = 1000, 36


def made_up(cell, accuracy, flops, train=None, seconds=100.0, place="cpu"):
    explores = cell.contender.kind in ("chex", "oneshot")
    per_epoch = train or flops
    return {
        "name": cell.name,
        "setting": dataclasses.asdict(cell.setting),
        "contender": dataclasses.asdict(cell.contender),
        "budget": cell.budget,
        "seed": cell.seed,
        "epochs": EPOCHS,
        "accuracy": accuracy,
        "flops": flops,
        "params": 10 * flops,
        "dense_flops": DENSE_FLOPS,
        "train_flops": per_epoch * EPOCHS,
        "dense_train_flops": DENSE_FLOPS * EPOCHS,
        "seconds": seconds,
        "core_seconds": 2 * seconds,
        "groups": {"stem": 16, "stage1": 32} if explores else {},
        "widths": [[0, [16, 24]], [9, [7, 12]]] if explores else [],
        "history": {
            "accuracy": [accuracy] * EPOCHS,
            "train_flops": [per_epoch] * EPOCHS,
        },
        "software": {"keras": "3", "machine": "x", "cores": 2},
        "hardware": {"processor": "some", "devices": [place]},
    }


@pytest.fixture
def directory(tmp_path):
    """Two seeds of three contenders in one setting, at one budget."""
    directory = tmp_path / "results" / "compare"
    directory.mkdir(parents=True)
    accuracies = {
        "dense": (0.93, 0.95),
        "slim": (0.90, 0.92),
        "chex": (0.92, 0.94),
    }
    for cell in STUDY.cells():
        name = cell.contender.name
        chosen = cell.setting.name == "cifar16" and cell.seed < 2
        if not chosen or name not in accuracies:
            continue
        if name != "dense" and cell.budget != 0.25:
            continue
        flops = DENSE_FLOPS if name == "dense" else 250
        record = made_up(
            cell,
            accuracies[name][cell.seed],
            flops,
            train=400 if name == "chex" else None,
            seconds=100.0 if name == "dense" else 60.0,
        )
        (directory / f"{cell.name}.json").write_text(json.dumps(record))
    return directory


def test_lines_are_means_over_the_seeds(directory):
    lines = Records(directory).lines(STUDY, "cifar16", 0.25)
    assert [line.contender for line in lines] == ["slim", "dense", "chex"]
    slim, dense, chex = lines
    assert (slim.accuracy, dense.accuracy) == pytest.approx((0.91, 0.94))
    assert slim.spread == pytest.approx(0.02 / 2**0.5)
    assert chex.distance(slim) == pytest.approx(0.02 / slim.spread)
    assert chex.share("train_flops", "dense_train_flops") == 0.4
    assert chex.time_ratio(dense) == 0.6
    assert Records(directory).lines(STUDY, "digits", 0.25) == []


def test_times_of_different_machines_are_not_compared():
    cells = STUDY.cells()[:2]
    here = Line("a", (made_up(cells[0], 0.9, 250, place="cpu"),))
    there = Line("b", (made_up(cells[1], 0.9, 250, place="gpu"),))
    assert here.time_ratio(there) is None
    assert here.spread is None and here.distance(there) is None
    assert "| - | - |" in page.comparison_table([here, there])


def test_times_of_runs_beside_others_are_not_compared():
    cells = STUDY.cells()[:2]
    one, other = (Line("a", (made_up(c, 0.9, 250),)) for c in cells)
    assert one.time_ratio(other) == 1
    one.records[0]["alone"] = False
    assert one.time_ratio(other) is None and other.time_ratio(one) is None


def test_equal_seeds_have_no_distance():
    record = made_up(STUDY.cells()[0], 0.9, 250)
    line = Line("a", (record, record))
    assert line.distance(line) is None


def test_page_has_the_tables_of_what_there_is(directory):
    text = page.render_page(Records(directory), {}, "results/compare")
    assert "6 training runs, 0.1 hours" in text
    assert "## CHEX against the alternatives, small pictures" in text
    assert "### cifar10, 16 pixels, ResNet-14 of 16 channels, 36 epochs" in text
    assert "**25% of the FLOPs**" in text and "**50%" not in text
    assert "digits" not in text and "oneshot" not in text
    row = next(r for r in text.splitlines() if r.startswith("| chex | 2"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[3:] == [
        "93.00 ± 1.41 %",
        "+2.00 (+1.4)",
        "0.250",
        "2,500 (0.250)",
        "0.400",
        "0.60 (0.60)",
        "1.00 (1.00)",
    ]
    assert "| some, 2 cores; cpu | keras 3 | 6 | 0.1 |" in text


def test_page_begins_with_what_matters(directory):
    cell = next(
        cell
        for cell in STUDY.cells()
        if cell.name == "cifar16-oneshot_l1-0.25-seed0"
    )
    path = directory / f"{cell.name}.json"
    for accuracy, best in ((0.905, "-"), (0.925, "oneshot_l1, 92.50%")):
        path.write_text(json.dumps(made_up(cell, accuracy, 250)))
        text = page.render_page(Records(directory), {}, "results/compare")
        short = text[text.index("## In short") :].splitlines()
        assert short[4] == (
            "| cifar16 | 25% | 2, 2 | 94.00 ± 1.41 % | 91.00 ± 1.41 % "
            f"| 93.00 ± 1.41 % | +2.00 (+1.4) | 0.40 | {best} |"
        )
        assert not short[5]


def test_records_of_an_ablation_alone_are_shown(tmp_path):
    study = grid.STUDIES["end"]
    cell = next(c for c in study.cells() if c.contender.name == "end_0.5")
    record = json.loads(json.dumps(made_up(cell, 0.5, 250)))
    (tmp_path / f"{cell.name}.json").write_text(json.dumps(record))
    text = page.render_page(Records(tmp_path), {}, "records")
    assert f"## {study.title}" in text
    assert (
        "| end_0.5 | exploration with `allocation=uniform`, `end=0.5` |" in text
    )
    assert "| end_0.5 | 1 | 36 | 50.00% | - |" in text


def test_pictures_are_drawn_and_linked(directory):
    parent = directory.parents[1]
    drawn = pictures.draw(Records(directory), parent)
    assert list(drawn) == [("headline_small", "cifar16")]
    found = drawn["headline_small", "cifar16"]
    assert [path for _, path in found] == [
        "results/compare_cifar16.png",
        "results/compare_cifar16_widths_0.25.png",
    ]
    text = page.render_page(Records(directory), drawn, "results/compare")
    for title, path in found:
        assert (parent / path).stat().st_size > 10_000
        assert f"![{title}]({path})" in text


@pytest.mark.parametrize("alone, panels", [(True, 3), (False, 2)])
def test_times_of_runs_beside_others_are_not_drawn(alone, panels, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        pictures, "save", lambda figure, _: drawn.append(figure)
    )
    record = {**made_up(STUDY.cells()[0], 0.9, 250), "alone": alone}
    pictures.plot_costs([Line("slim", (record,))], "somewhere", "some")
    assert len(drawn[0].axes) == panels


def test_the_short_table_has_the_best_of_each_kind(tmp_path):
    study = grid.STUDIES["headline_some"]
    accuracies = {
        "slim": (0.6, 0.62),
        "chex": (0.7, 0.72, 0.74),
        "oneshot_l1": (0.5,),
        "oneshot_css": (0.65,),
    }
    for cell in study.cells():
        found = accuracies.get(cell.contender.name, ())
        chosen = cell.setting.name == "imagenette24" and cell.budget == 0.25
        if chosen and cell.seed < len(found):
            record = made_up(cell, found[cell.seed], 250, train=400)
            path = tmp_path / f"{cell.name}.json"
            path.write_text(json.dumps(record))
    table = short_table.short_table(Records(tmp_path))
    assert table.splitlines()[2:] == [
        "| Imagenette, ResNet-14 | 25% | - | 61.0 ± 1.4 (2) | 65.0 (1) | - "
        "| - | 72.0 ± 2.0 | 0.40 |"
    ]
    readme = tmp_path / "README.md"
    readme.write_text("a\n<!-- study: begin -->\nold\n<!-- study: end -->\nb")
    short_table.renew(readme, table)
    short_table.renew(readme, table)
    assert readme.read_text() == (
        f"a\n{short_table.BEGIN}\n{table.strip()}\n{short_table.END}\nb"
    )
    readme.write_text("no marks")
    with pytest.raises(ValueError, match="--readme"):
        short_table.renew(readme, table)


def run(*flags):
    return subprocess.run(
        [sys.executable, "-m", "experiments.compare.render", *map(str, flags)],
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.large
def test_program_writes_the_page(directory):
    target = directory.parents[1] / "results.md"
    finished = run(f"--records={directory}", f"--page={target}")
    assert finished.returncode == 0, finished.stderr
    assert "6 records" in finished.stdout
    assert "(results/compare)" in target.read_text()
    empty = run(f"--records={target.parent}", f"--page={target}")
    assert "must name a directory with records" in empty.stderr
