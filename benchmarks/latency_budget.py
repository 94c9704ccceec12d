"""How near a latency budget comes to the latency of the exported file.

For each network a latency table is measured, the network is cut to a share of
its latency, and the dense and the narrow file are run in turns. Weights are
random.

```sh
python -m benchmarks.latency_budget --output=docs/results/latency_budget.json
```

Takes ten minutes for both networks at 224 pixels.
"""

import pathlib
import tempfile
import time

import keras
from absl import app, flags

import keras_chex
from benchmarks.networks import build_network
from benchmarks.report import table, write_between, write_json
from benchmarks.submodel import budget_submodel, multiple_of
from experiments.common.table import markdown_table

FLAGS = flags.FLAGS

# networks
flags.DEFINE_list("models", ["ResNet50", "MobileNetV2"], "Networks.")
flags.DEFINE_integer("image_size", 224, "Height and width of the images.")
flags.DEFINE_list("latency", ["0.5"], "Shares of the dense latency.")
flags.DEFINE_list("round_to", ["1", "4", "8", "16", "auto"], "Multiples.")
# measurement
flags.DEFINE_integer("runs", 50, "Timed inferences of each file.")
flags.DEFINE_integer("rounds", 15, "Runs of each layer.")
flags.DEFINE_integer("threads", 1, "Threads of LiteRT.")
flags.DEFINE_string("tables", None, "Folder to keep latency tables in.")
flags.DEFINE_string("output", "runs/latency_budget.json", "JSON to write.")
flags.DEFINE_string("page", None, "Page whose table is written anew.")


def table_of(name, model):
    """Measures a network's table; returns it with the seconds it took."""
    start = time.perf_counter()
    found = keras_chex.measure_latency(
        model,
        threads=FLAGS.threads,
        rounds=FLAGS.rounds,
        share=min(map(float, FLAGS.latency)),
    )
    seconds = time.perf_counter() - start
    if FLAGS.tables:
        pathlib.Path(FLAGS.tables).mkdir(parents=True, exist_ok=True)
        found.save(pathlib.Path(FLAGS.tables) / f"{name}.json")
    return found, seconds


def measure(name, folder):
    """Times a network at all budgets; returns its record."""
    model = build_network(name, FLAGS.image_size)
    latencies, seconds = table_of(name, model)
    paths, cases = [folder / f"{name}.tflite"], []
    keras_chex.export_tflite(model, paths[0])
    for share in map(float, FLAGS.latency):
        for multiple in map(multiple_of, FLAGS.round_to):
            narrow, predicted = budget_submodel(
                model, "latency", share, multiple, latencies
            )
            paths.append(folder / f"{name}_{len(paths)}.tflite")
            keras_chex.export_tflite(narrow, paths[-1])
            cases.append(
                {
                    "latency": share,
                    "round_to": multiple,
                    "predicted": predicted,
                    "flops": keras_chex.flops(narrow) / keras_chex.flops(model),
                }
            )
    compared = keras_chex.compare_latency(
        paths, threads=FLAGS.threads, runs=FLAGS.runs, memory=False
    )
    for case, measured in zip(cases, compared.ratios[1:], strict=True):
        case["measured"] = measured
        case["over_budget"] = measured / case["latency"] - 1
    keras.utils.clear_session()
    return {
        "model": name,
        "seconds_to_measure_table": seconds,
        "layer_shapes": len(latencies.layers),
        "scale": latencies.scale,
        "constant_ns": latencies.constant,
        "predicted_dense_ms": latencies.predict(model),
        "dense_ms": compared.results[0].median_ms,
        "budgets": cases,
    }


def rows_of(records):
    """Rows of the printed table."""
    yield (
        *("network", "budget", "round_to", "predicted", "measured"),
        *("over budget", "FLOPs"),
    )
    for record in records:
        for case in record["budgets"]:
            yield (
                record["model"],
                f"{case['latency']:g}",
                str(case["round_to"]),
                f"{case['predicted']:.3f}",
                f"{case['measured']:.3f}",
                f"{case['over_budget']:+.1%}",
                f"{case['flops']:.3f}",
            )


def main(argv):
    del argv
    records = []
    with tempfile.TemporaryDirectory() as folder:
        for name in FLAGS.models:
            records.append(measure(name, pathlib.Path(folder)))
            names = ("image_size", "threads", "runs", "rounds")
            result = {
                "flags": {flag: FLAGS[flag].value for flag in names},
                "networks": records,
            }
            write_json(FLAGS.output, result)
    rows = list(rows_of(records))
    print(table(rows))
    if FLAGS.page:
        write_between(FLAGS.page, "latency", markdown_table(rows))
    print(f"written: {FLAGS.output}")


if __name__ == "__main__":
    app.run(main)
