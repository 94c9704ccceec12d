"""The grid: names, contenders, options that the scheduler takes."""

import dataclasses

import pytest

import keras_chex
from experiments.common.widths import stage_widths
from experiments.compare import grid
from experiments.compare.contenders import KINDS
from experiments.compare.networks import NETWORKS
from experiments.compare.page import explain
from experiments.compare.runner import part_of
from experiments.compare.variants import ABLATIONS, CONTENDERS, HEADLINE


def all_cells():
    return [c for study in grid.STUDIES.values() for c in study.cells()]


def test_a_name_means_one_cell():
    by_name = {}
    for cell in all_cells():
        assert by_name.setdefault(cell.name, cell) == cell
    for study in grid.STUDIES.values():
        names = [cell.name for cell in study.cells()]
        assert len(names) == len(set(names))


def test_headline_has_every_alternative_at_both_budgets_and_three_seeds():
    cells = grid.STUDIES["headline"].cells()
    for setting in ("cifar32", "imagenette64"):
        runs = {
            (cell.contender.name, cell.budget, cell.seed)
            for cell in cells
            if cell.setting.name == setting
        }
        for name in (
            *("slim", "slim_equal_training", "chex"),
            *("prune_early", "prune_gradual"),
            *("oneshot_l1", "oneshot_bn_scale", "oneshot_css"),
        ):
            found = {run[1:] for run in runs if run[0] == name}
            assert found == {(b, s) for b in (0.5, 0.25) for s in (0, 1, 2)}
        assert len([run for run in runs if run[0] == "dense"]) == 3
    chex = CONTENDERS["chex"]
    assert chex.kind == "chex" and not chex.options


def test_ablations_share_their_reference_with_other_studies():
    known = {
        cell.name
        for study in ("headline_small", "headline_some", "tuning")
        for cell in dataclasses.replace(
            grid.STUDIES[study], seeds=grid.SEEDS
        ).cells()
    }
    for name in ABLATIONS:
        cells = grid.STUDIES[name].cells()
        reference = [c.name for c in cells if c.contender.name == "chex"]
        assert len(reference) == 9 and set(reference) <= known


@pytest.mark.parametrize("name", list(CONTENDERS))
def test_contenders_are_known_and_explained(name):
    contender = CONTENDERS[name]
    assert contender.kind in (*KINDS, "torch_pruning")
    assert contender.needs is None or contender.needs in CONTENDERS
    keras_chex.ChexScheduler(flops=0.5, **contender.options)
    as_read = {**vars(contender), "options": dict(contender.options)}
    assert explain(as_read)


def test_a_name_means_one_contender():
    for contender in HEADLINE:
        assert CONTENDERS[contender.name] == contender
    for variants in ABLATIONS.values():
        for name, options in variants.items():
            assert CONTENDERS[name].options == options


@pytest.mark.parametrize("name", list(NETWORKS))
def test_kinds_of_networks_are_built_at_any_width(name):
    network = NETWORKS[name]
    widths = stage_widths(2, factors=network.factors)
    model = network.build(network.smallest, widths, (16, 16, 3), 10)
    assert model.output_shape == (None, 10)


def test_torch_has_no_vgg():
    cells = grid.STUDIES["headline_some"].cells()
    found = {
        cell.setting.network
        for cell in cells
        if cell.contender.name == "torch_pruning"
    }
    assert found == {"resnet"}


def test_cells_of_several_studies_are_chosen_once():
    cells = grid.select(["end", "regrow"], "seed1", smoke=False)
    names = [cell.name for cell in cells]
    assert names.count("cifar16-chex-0.25-seed1") == 1
    assert all(name.endswith("seed1") for name in names)
    with pytest.raises(ValueError, match="Received: --cells=nothing"):
        grid.select(["end"], "nothing", smoke=False)


def test_parts_are_the_whole():
    cells = list(range(10))
    parts = [part_of(cells, f"{n}/3") for n in (1, 2, 3)]
    assert sorted(sum(parts, [])) == cells


@pytest.mark.parametrize("part", ["0/3", "4/3", "1", "a/b", "1/"])
def test_a_part_that_is_none_is_refused(part):
    with pytest.raises(ValueError, match="two numbers such as 1/3"):
        part_of([1, 2, 3], part)


def test_miniatures_have_names_of_their_own():
    cell = grid.STUDIES["trial"].cells()[0]
    small = grid.miniature(cell)
    assert small.name == f"smoke_{cell.name}"
    assert small.setting.width < cell.setting.width
