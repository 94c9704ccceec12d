"""How fast a network runs in LiteRT with widths that are multiples of N.

Every network is cut to a share of its FLOPs, with widths that are multiples of
each `--round_to`, and by multiplying all widths by one factor (multiples of 8),
as a narrower network is designed. All files of a network in one number format
are run in turns. Weights are random.

```sh
python -m benchmarks.round_to --output=docs/results/round_to.json
```

Takes twenty minutes for ResNet-50 and MobileNetV2 at 224 pixels.
"""

import json
import pathlib
import tempfile

import keras
import numpy as np
from absl import app, flags

import keras_chex
from benchmarks.networks import build_network
from benchmarks.report import table, write_between, write_json
from benchmarks.submodel import budget_submodel, multiple_of, scaled_submodel
from experiments.common.table import markdown_table

FLAGS = flags.FLAGS

# networks
flags.DEFINE_list("models", ["ResNet50", "MobileNetV2"], "Networks.")
flags.DEFINE_integer("image_size", 224, "Height and width of the images.")
flags.DEFINE_list("flops", ["0.5", "0.25"], "Shares of the dense FLOPs.")
flags.DEFINE_list("round_to", ["1", "4", "8", "16", "auto"], "Multiples.")
flags.DEFINE_list("modes", ["float32", "int8"], "Number formats of files.")
# measurement
flags.DEFINE_integer("runs", 50, "Timed inferences of each file.")
flags.DEFINE_integer("threads", 1, "Threads of LiteRT.")
flags.DEFINE_integer("examples", 32, "Random images to calibrate int8 with.")
flags.DEFINE_string("output", "runs/round_to.json", "JSON to write.")
flags.DEFINE_string("page", None, "Page whose table is written anew.")
flags.DEFINE_bool("only_page", False, "Write the page from --output.")

SCALED = "uniform, one factor"


def variants(model):
    """Yields name, asked and reached share of FLOPs, and model to export."""
    yield "dense", 1.0, 1.0, model
    for flops in map(float, FLAGS.flops):
        for multiple in map(multiple_of, FLAGS.round_to):
            narrow, share = budget_submodel(model, "flops", flops, multiple)
            yield f"round_to={multiple}", flops, share, narrow
        narrow, share = scaled_submodel(model, flops)
        yield SCALED, flops, share, narrow


def export(model, mode, path):
    """Writes a model in one number format."""
    if mode == "float32":
        keras_chex.export_tflite(model, path)
        return
    rng = np.random.default_rng(0)
    shape = (FLAGS.examples, FLAGS.image_size, FLAGS.image_size, 3)
    data = rng.uniform(0.0, 1.0, shape).astype("float32")
    keras_chex.export_tflite(
        model, path, quantize=mode, representative_data=data
    )


def measure(name, folder):
    """Times all variants of one network; returns one record for each file."""
    model = build_network(name, FLAGS.image_size)
    rows = list(variants(model))
    records = []
    for mode in FLAGS.modes:
        paths = []
        for number, (_, _, _, variant) in enumerate(rows):
            paths.append(folder / f"{name}_{mode}_{number}.tflite")
            export(variant, mode, paths[-1])
        results = keras_chex.compare_latency(
            paths, threads=FLAGS.threads, runs=FLAGS.runs, memory=False
        ).results
        records += [
            {
                "model": name,
                "mode": mode,
                "variant": variant,
                "flops_asked": asked,
                "flops": share,
                "median_ms": result.median_ms,
                "p90_ms": result.p90_ms,
                "bytes": result.bytes,
                "speedup": results[0].median_ms / result.median_ms,
            }
            for (variant, asked, share, _), result in zip(
                rows, results, strict=True
            )
        ]
    keras.utils.clear_session()
    return records


def compare(records):
    """Adds how each file does beside the uniform network of its budget.

    `at_equal_flops` is the ratio of both speed-ups, corrected for FLOPs that
    differ a little: speed-ups are taken as proportional to saved FLOPs.
    """
    uniform = {
        (r["model"], r["mode"], r["flops_asked"]): r["speedup"] * r["flops"]
        for r in records
        if r["variant"] == SCALED
    }
    for record in records:
        key = record["model"], record["mode"], record["flops_asked"]
        if key in uniform:
            own = record["speedup"] * record["flops"]
            record["at_equal_flops"] = own / uniform[key]


def rows_of(records):
    """Rows of the printed table."""
    yield (
        *("network, widths", "format", "FLOPs", "ms", "times faster"),
        "of uniform",
    )
    for r in records:
        ratio = r.get("at_equal_flops")
        yield (
            f"{r['model']}, {r['variant']}",
            r["mode"],
            f"{r['flops']:.3f}",
            f"{r['median_ms']:.2f}",
            f"{r['speedup']:.2f}",
            "" if ratio is None else f"{ratio:.2f}",
        )


def page_table(records):
    """Times faster than dense, one column per kind of widths.

    Args:
        records: list of dicts, as `measure` returns them.

    Returns:
        str, Markdown.
    """
    variants = list(dict.fromkeys(r["variant"] for r in records))
    variants.remove("dense")
    dense, rows = {}, {}
    for r in records:
        if r["variant"] == "dense":
            dense[r["model"], r["mode"]] = r["median_ms"]
            continue
        key = r["model"], r["mode"], r["flops_asked"]
        rows.setdefault(key, {})[r["variant"]] = r["speedup"]
    table = [("network, format", "dense, ms", "FLOPs", *variants)]
    for (model, mode, flops), found in rows.items():
        table.append(
            (
                f"{model}, {mode}",
                f"{dense[model, mode]:.1f}",
                f"{flops:g}",
                *(f"{found[v]:.2f}" if v in found else "" for v in variants),
            )
        )
    return markdown_table(table)


def main(argv):
    del argv
    if FLAGS.only_page:
        records = json.loads(pathlib.Path(FLAGS.output).read_text())["files"]
        write_between(FLAGS.page, "widths", page_table(records))
        return
    records = []
    with tempfile.TemporaryDirectory() as folder:
        for name in FLAGS.models:
            records += measure(name, pathlib.Path(folder))
            compare(records)
            names = ("image_size", "threads", "runs", "examples")
            result = {
                "flags": {flag: FLAGS[flag].value for flag in names},
                "files": records,
            }
            write_json(FLAGS.output, result)
    print(table(list(rows_of(records))))
    if FLAGS.page:
        write_between(FLAGS.page, "widths", page_table(records))
    print(f"written: {FLAGS.output}")


if __name__ == "__main__":
    app.run(main)
