"""The page: complete, self-contained, and honest about what is missing."""

import html.parser
import json
import re

import keras
import numpy as np
import pytest

import keras_chex


def model(width=8):
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(width, 3, name="first"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.GlobalAveragePooling2D(name="pool"),
            keras.layers.Dense(3, name="logits"),
        ]
    )


def write_csv(path, rows):
    lines = [",".join(rows[0])]
    lines += [",".join(str(v) for v in row.values()) for row in rows]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def run(tmp_path):
    """The directory of a finished run of two networks."""
    folder = tmp_path / "first"
    for name, width in (("dense", 8), ("chex", 4)):
        (folder / name / "saved_model").mkdir(parents=True)
        (folder / name / "saved_model" / "saved_model.pb").write_bytes(b"12345")
        model(width).save(folder / name / "model.keras")
        (folder / name / "model.tflite").write_bytes(bytes(100 * width))
        rows = [
            {"epoch": e + 1, "val_accuracy": 0.4 + e / 10} for e in range(3)
        ]
        if name == "chex":
            for row, width in zip(rows, (8, 6, 4), strict=True):
                row |= {"chex/flops": width / 8, "channels/first": width}
        write_csv(folder / name / "history.csv", rows)
    contenders = {
        "dense": {"accuracy": 0.62, "flops": 2616, "latency_ms": 0.5},
        "CHEX": {"accuracy": 0.6, "flops": 1308, "latency_ms": 0.25},
    }
    contenders["CHEX"]["groups"] = {"first": 8}
    write_json(folder, {"contenders": contenders, "recipe": {"lr": 0.05}})
    return folder


def write_json(folder, value):
    (folder / "result.json").write_text(json.dumps(value))


class Links(html.parser.HTMLParser):
    """Collects what a page would load, and checks that tags are closed."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found += [v for k, v in attrs if k in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def page_of(report):
    text = report.path.read_text(encoding="utf-8")
    links = Links(text)
    assert not links.open
    assert all(
        link.startswith("data:image/png;base64,") for link in links.found
    )
    assert len(links.found) == len(report.figures)
    assert "url(" not in text
    return text


def test_a_finished_run_has_all_figures_and_no_notes(run):
    report = keras_chex.write_report(run)
    names = ["curves.png", "channels.png", "flops.png", "costs.png"]
    assert [path.name for path in report.figures] == names
    assert report.notes == ()
    assert all(p.read_bytes()[:4] == b"\x89PNG" for p in report.figures)
    text = page_of(report)
    assert "CHEX keeps 50.0% of the multiply-adds at 60.00% accuracy" in text
    assert "2.00 points below dense" in text
    assert "0.250 ms <small>(0.500)</small>" in text
    assert "400 bytes <small>(0.500)</small>" in text
    assert "&quot;lr&quot;: 0.05" in text
    assert sorted(p.name for p in run.iterdir()) == sorted(
        [*names, "report.html", "result.json", "dense", "chex"]
    )


def test_a_second_report_takes_the_place_of_the_first(run):
    keras_chex.write_report(run, title="<b>first</b>")
    report = keras_chex.write_report(run, title="R&D")
    text = page_of(report)
    assert "<h1>R&amp;D</h1>" in text and "first</b>" not in text


@pytest.mark.parametrize(
    ("missing", "note", "figure"),
    [
        ("chex/history.csv", "CHEX: no history.csv", "channels.png"),
        ("chex/model.keras", "CHEX: no model.keras", "flops.png"),
        ("result.json", "No result.json", "channels.png"),
    ],
)
def test_what_is_missing_is_said(run, missing, note, figure):
    (run / missing).unlink()
    report = keras_chex.write_report(run)
    assert any(note in one for one in report.notes)
    assert figure not in [path.name for path in report.figures]
    assert note in page_of(report) and note in str(report)


def test_a_damaged_model_costs_one_figure(run):
    (run / "chex" / "model.keras").write_bytes(b"no model")
    report = keras_chex.write_report(run)
    assert any("model.keras cannot be read" in note for note in report.notes)
    assert "curves.png" in [path.name for path in report.figures]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("result.json", "{", "is not JSON"),
        ("result.json", "[]", "must hold an object"),
        ("dense/history.csv", "a,b\n1,2\n", "no column 'epoch'"),
    ],
)
def test_a_damaged_file_is_named_and_nothing_is_written(
    run, name, text, message
):
    (run / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        keras_chex.write_report(run)
    assert not (run / "report.html").exists()


def test_nothing_to_report_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="Received: .*without any of them"):
        keras_chex.write_report(tmp_path)
    with pytest.raises(ValueError, match="which is no folder"):
        keras_chex.write_report(tmp_path / "none")
    assert not list(tmp_path.iterdir())


def test_seeds_are_averaged(run, tmp_path):
    result = json.loads((run / "result.json").read_text())
    both = tmp_path / "both"
    both.mkdir()
    run.rename(both / "seed0")
    several = {}
    for name, values in result["contenders"].items():
        other = {**values, "accuracy": values["accuracy"] - 0.1}
        several[name] = [values, other]
    write_json(both, {"contenders": several})
    report = keras_chex.write_report(both)
    assert "55.00%" in page_of(report)
    assert any("Several seeds: numbers are means" in n for n in report.notes)
    assert len(report.figures) == 4


def test_the_files_of_keras_are_a_run_of_one_network(tmp_path):
    model().save(tmp_path / "model.keras")
    write_csv(tmp_path / "history.csv", [{"epoch": 0, "loss": 2.0}])
    report = keras_chex.write_report(tmp_path)
    assert [path.name for path in report.figures] == ["curves.png"]
    assert any("Fewer than two networks" in note for note in report.notes)


def test_a_run_is_reported_from_its_objects(tmp_path):
    wrapped = keras_chex.wrap(model())
    wrapped.compile("sgd", "mse")
    scheduler = keras_chex.ChexScheduler(flops=0.6, interval=1, verbose=0)
    x, y = np.ones((8, 8, 8, 1)), np.ones((8, 3))
    history = wrapped.fit(x, y, epochs=4, verbose=0, callbacks=[scheduler])
    report = keras_chex.write_report(
        tmp_path / "new", wrapped, history, scheduler
    )
    names = [path.name for path in report.figures]
    assert names == ["curves.png", "channels.png", "flops.png", "costs.png"]
    assert report.notes == ("No .tflite files: latency was not measured.",)
    kept = keras_chex.summary(wrapped)
    share = f"keeps {kept.flops / kept.dense_flops:.1%} of the multiply-adds"
    assert share in page_of(report)


def test_parts_that_were_not_handed_over_are_noted(tmp_path):
    history = {"accuracy": [0.5, 0.75]}
    report = keras_chex.write_report(tmp_path, history=history)
    assert [path.name for path in report.figures] == ["curves.png"]
    assert any(note.startswith("No model") for note in report.notes)
    report = keras_chex.write_report(tmp_path, model=model())
    assert any("hand over the wrapped model" in n for n in report.notes)
    assert any("2,616" in line for line in page_of(report).splitlines())


def test_a_scheduler_that_has_not_run_is_noted(tmp_path):
    scheduler = keras_chex.ChexScheduler(flops=0.6)
    report = keras_chex.write_report(
        tmp_path, history={"loss": [1.0]}, scheduler=scheduler
    )
    assert any("has not run" in note for note in report.notes)


@pytest.mark.parametrize(
    ("argument", "value"), [("model", "dense.keras"), ("history", 3)]
)
def test_objects_of_another_kind_are_refused(tmp_path, argument, value):
    with pytest.raises(TypeError, match=f"Argument `{argument}` must be"):
        keras_chex.write_report(tmp_path / "new", **{argument: value})
    assert not (tmp_path / "new").exists()


@pytest.mark.tensorflow
def test_files_are_timed(tmp_path):
    path = tmp_path / "small.tflite"
    keras_chex.export_tflite(model(), path)
    report = keras_chex.write_report(tmp_path, tflite=[path])
    text = page_of(report)
    assert re.search(r"LiteRT latency.*<td>\d\.\d{3} ms</td>", text)
    assert f"{path.stat().st_size:,} bytes" in text
