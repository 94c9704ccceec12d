"""Times one layer at many widths in LiteRT: how wide are the kernels' steps?

A 1x1 and a 3x3 convolution at 28x28 positions with 128 input channels, and a
3x3 depthwise convolution at 56x56, float32, one thread. Half a minute on a
quiet core:

    python -m benchmarks.kernel_steps --page=docs/latency.md

`--output` gets the microseconds as JSON; `--page` the table.
"""

from absl import app, flags

from benchmarks.report import write_between, write_json
from experiments.common.table import markdown_table
from keras_chex.analysis.layer_shapes import CONVOLUTION, DEPTHWISE, LayerShape
from keras_chex.export.layer_timing import reference_time, time_widths

FLAGS = flags.FLAGS
INPUTS = 128

flags.DEFINE_list("widths", "32,33,40,48,49,64,65,128,129", "Output channels.")
flags.DEFINE_integer("rounds", 25, "Timed runs of each file.")
flags.DEFINE_string("output", "docs/results/kernel_steps.json", "JSON.")
flags.DEFINE_string("page", None, "Page whose table is written anew.")


def layer_shapes(widest):
    """The layers by the heading of their column."""
    return {
        "1x1 convolution, 128 in": LayerShape(
            CONVOLUTION, INPUTS, widest, (28, 28), (1, 1), padding="same"
        ),
        "3x3 convolution, 128 in": LayerShape(
            CONVOLUTION, INPUTS, widest, (28, 28), (3, 3), padding="same"
        ),
        "depthwise 3x3": LayerShape(
            DEPTHWISE, widest, widest, (56, 56), (3, 3), padding="same"
        ),
    }


def main(argv):
    del argv
    widths = [int(width) for width in FLAGS.widths]
    columns = {}
    for title, shape in layer_shapes(max(widths)).items():
        pairs = [
            (width if shape.kind == DEPTHWISE else INPUTS, width)
            for width in widths
        ]
        times = time_widths(shape, pairs, 1, FLAGS.rounds)
        unit = reference_time(1, FLAGS.rounds)
        columns[title] = [float(t) * unit / 1e3 for t in times]
    write_json(
        FLAGS.output,
        {"widths": widths, "rounds": FLAGS.rounds, "microseconds": columns},
    )
    rows = [("output channels", *columns)]
    for number, width in enumerate(widths):
        times = (f"{column[number]:.0f}" for column in columns.values())
        rows.append((str(width), *times))
    table = markdown_table(rows)
    print(table)
    if FLAGS.page:
        write_between(FLAGS.page, "steps", table)


if __name__ == "__main__":
    app.run(main)
