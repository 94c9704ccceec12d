"""Pictures: written whole, with what the history holds."""

from matplotlib.figure import Figure
from matplotlib.image import imread

from experiments.common import plots


def history(epochs, groups=()):
    return [
        {
            "epoch": epoch + 1,
            "val_accuracy": 1 - 0.5 / (epoch + 1),
            **({"chex/flops": 1 / (epoch + 1)} if groups else {}),
            **{f"channels/{g}": float(8 - epoch) for g in groups},
        }
        for epoch in range(epochs)
    ]


def spread(path):
    """How much the pixels of a picture differ: 0 for an empty one."""
    return imread(path).std()


def test_curves_of_two_contenders_are_drawn(tmp_path):
    path = tmp_path / "curves.png"
    plots.plot_curves(
        {"dense": history(5), "CHEX": history(5, ["a"])}, path, "Title"
    )
    assert spread(path) > 0.05
    assert [p.name for p in tmp_path.iterdir()] == ["curves.png"]


def test_channels_of_all_groups_are_drawn(tmp_path):
    path = tmp_path / "channels.png"
    plots.plot_channels(
        history(4, ["first", "second"]), {"first": 8, "second": 10}, path, "T"
    )
    assert spread(path) > 0.05


def test_widths_stand_where_they_begin(monkeypatch, tmp_path):
    figures = []
    monkeypatch.setattr(plots, "save", lambda f, path: figures.append(f))
    plots.plot_channels(history(3, ["a"]), {"a": 8}, tmp_path, "Title")
    assert isinstance(figures[0], Figure)
    texts = [text.get_text() for text in figures[0].axes[1].texts]
    assert texts == ["8", "7", "6"]


def test_more_groups_make_a_taller_picture(tmp_path):
    heights = []
    for count in (2, 20):
        groups = {f"group{i}": 8 for i in range(count)}
        path = tmp_path / f"{count}.png"
        plots.plot_channels(history(3, groups), groups, path, "Title")
        heights.append(imread(path).shape[0])
    assert heights[1] > heights[0] + 300
