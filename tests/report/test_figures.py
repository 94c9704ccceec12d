"""Figures: with what the history holds, in their order, on one scale."""

import io
import sys

import pytest
from matplotlib.image import imread

from keras_chex.report import figures


def history(epochs, groups=(), key="val_accuracy"):
    return [
        {
            "epoch": epoch + 1,
            key: 1 - 0.5 / (epoch + 1),
            **({"chex/flops": 1 / (epoch + 1)} if groups else {}),
            **{f"channels/{g}": float(8 - epoch) for g in groups},
        }
        for epoch in range(epochs)
    ]


def pixels(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    buffer.seek(0)
    return imread(buffer)


def test_curves_of_two_networks_are_drawn():
    rows = {"dense": history(5), "CHEX": history(5, ["a"])}
    figure = figures.draw_curves(rows, "Title", {"dense": 1.0})
    upper, lower = figure.axes
    assert pixels(figure).std() > 0.05
    labels = [text.get_text() for text in upper.get_legend().get_texts()]
    assert labels == [
        "dense: 90.00% after the last epoch",
        "CHEX: 90.00% after the last epoch",
    ]
    assert list(lower.lines[0].get_ydata()) == [1.0] * 5
    assert list(lower.lines[1].get_ydata()) == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]


def test_more_networks_than_colours_are_all_drawn():
    rows = {f"network {i}": history(3) for i in range(6)}
    assert len(figures.draw_curves(rows, "Title").axes[0].lines) == 6


def test_a_loss_is_drawn_where_there_is_no_accuracy():
    figure = figures.draw_curves({"dense": history(4, key="val_loss")}, "T")
    assert figure.axes[0].get_ylabel() == "validation loss"


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        (["loss", "val_loss"], "val_loss"),
        (["val_loss", "accuracy"], "accuracy"),
        (["accuracy", "val_binary_accuracy"], "val_binary_accuracy"),
        (["chex/flops"], None),
    ],
)
def test_the_curve_shows_accuracy_before_loss(keys, chosen):
    rows = [{"epoch": 1, **dict.fromkeys(keys, 0.5)}]
    found = figures.curve_of([rows])
    assert (found and found[0]) == chosen


def test_a_key_that_one_history_lacks_is_not_chosen():
    both = [history(2), history(2, key="loss")]
    assert figures.curve_of(both) is None


def test_widths_stand_where_they_begin():
    figure = figures.draw_channels(history(3, ["a"]), {"a": 8}, "Title")
    texts = [text.get_text() for text in figure.axes[1].texts]
    assert texts == ["8", "7", "6"]
    assert pixels(figure).std() > 0.05


def test_more_groups_make_a_taller_picture():
    heights = []
    for count in (2, 20):
        groups = {f"group{i}": 8 for i in range(count)}
        figure = figures.draw_channels(history(3, groups), groups, "Title")
        heights.append(pixels(figure).shape[0])
    assert heights[1] > heights[0] + 300


def test_layers_tell_what_is_left_of_them():
    layers = [("stem", 2_000_000, 500_000), ("logits", 1000, 1000)]
    axes = figures.draw_flops(layers, "Title").axes[0]
    assert [text.get_text() for text in axes.texts] == ["25%", "100%"]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["stem", "logits"]


def test_every_measure_has_a_panel():
    costs = {"FLOPs": {"dense": 4e6, "CHEX": 2e6}, "ms": {"dense": 0.5}}
    figure = figures.draw_costs(costs, "Title")
    assert [axes.get_title() for axes in figure.axes] == ["FLOPs", "ms"]
    assert [t.get_text() for t in figure.axes[0].texts] == ["4.00 M", "2.00 M"]


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"keras_chex\[report\]"):
        figures.draw_flops([("stem", 2, 1)], "Title")
