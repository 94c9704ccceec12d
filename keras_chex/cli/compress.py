"""`keras_chex compress`: a smaller model at once, without training."""

import keras_chex
from keras_chex.algorithms.criteria import CRITERIA
from keras_chex.algorithms.ranking import ALLOCATIONS
from keras_chex.analysis.summary import align, share
from keras_chex.cli.console import Outcome
from keras_chex.cli.files import read_arrays, read_model
from keras_chex.cli.options import (
    add_command,
    add_input_shape,
    multiple,
    positive,
)
from keras_chex.export.staging import staged_file

EXAMPLE = """\
  $ keras_chex compress digits.keras --flops=0.5 --data train.npy -o small.keras

  Keeps half of the multiply-adds. `--data` are a few hundred training examples
  as the model takes them, without labels; they correct the statistics of
  BatchNormalization layers, and save much of the accuracy. Compare on your test
  set. A few epochs of training bring back more than any option here.
"""


def add(commands):
    """Adds the command."""
    parser = add_command(
        commands,
        "compress",
        run,
        "Cut a trained model down to a budget, without training.",
        EXAMPLE,
    )
    parser.add_argument("model", help="a .keras or .h5 file, plain or wrapped")
    parser.add_argument(
        "-o", "--output", required=True, help="the .keras file to write"
    )
    budget = parser.add_mutually_exclusive_group(required=True)
    for name, help_text in (
        ("flops", "share of the multiply-adds that is kept, such as 0.5"),
        ("params", "share of the parameters that is kept"),
        ("sparsity", "share of the channels that is removed"),
        ("latency", "share of the latency in LiteRT that is kept"),
    ):
        budget.add_argument(f"--{name}", type=float, help=help_text)
    parser.add_argument(
        "--latency-table",
        metavar="FILE",
        help="JSON file that `LatencyTable.save` wrote, for --latency; without "
        "it the layers are measured here, which can take minutes",
    )
    parser.add_argument(
        "--budget-scope",
        action="append",
        metavar="LAYER",
        help="a layer or block that the budget counts, and all that is outside "
        "keeps its channels, by name or regular expression; repeat it for more",
    )
    add_selection(parser)
    parser.add_argument(
        "--data",
        metavar="FILE",
        help="examples (.npy or .npz) to correct the statistics of "
        "BatchNormalization layers by",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="for --criterion=random"
    )
    add_input_shape(parser)


def add_selection(parser):
    """Adds what decides how many channels stay where, and which."""
    parser.add_argument(
        "--criterion",
        choices=[name for name in CRITERIA if name != "fisher"],
        default="css",
        help="what keeps a channel (default: css, column subset selection)",
    )
    parser.add_argument(
        "--allocation",
        choices=[name for name in ALLOCATIONS if name != "fisher"],
        default="bn_scale",
        help="how widths are shared between layers (default: bn_scale)",
    )
    parser.add_argument(
        "--round-to",
        type=multiple,
        default="auto",
        metavar="N",
        help="widths are multiples of N, which run faster (default: auto, the "
        "largest power of two that divides a layer's channels, is at most 16 "
        "and leaves 16 widths)",
    )
    parser.add_argument(
        "--min-channels",
        type=positive,
        default=1,
        metavar="N",
        help="no layer gets narrower",
    )
    parser.add_argument(
        "--max-channels", type=positive, metavar="N", help="none gets wider"
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="LAYER",
        help="a layer that keeps its channels, by name or regular expression; "
        "repeat it for more",
    )


def run(args):
    """Compresses and writes."""
    with staged_file(args.output, ".keras") as staged:
        model = read_model(args.model)
        small = keras_chex.compress(
            model,
            **{name: getattr(args, name) for name in OPTIONS},
            data=None if args.data is None else read_arrays(args.data),
        )
        before = keras_chex.summary(model, args.input_shape)
        after = keras_chex.summary(small, args.input_shape)
        small.save(staged)
    return written(args.output, costs(before), after)


OPTIONS = (
    "flops",
    "params",
    "sparsity",
    "latency",
    "latency_table",
    "budget_scope",
    "criterion",
    "allocation",
    "min_channels",
    "max_channels",
    "round_to",
    "exclude",
    "input_shape",
    "seed",
)


def costs(found, dense=False):
    """What a `ModelSummary` says, with active or with all channels.

    Returns:
        Dict with `flops`, `params` and `channels`.
    """
    prefix = "dense_" if dense else ""
    names = ("flops", "params", "channels")
    return {name: getattr(found, prefix + name) for name in names}


def written(path, before, after):
    """Compares a model that was written with the one it was made from.

    Args:
        path: str, the file.
        before: dict of `costs`.
        after: `ModelSummary` of what was written.

    Returns:
        An `Outcome`.
    """
    now = costs(after)
    rows = [("", "before", "after", "")]
    for title, name in (
        ("multiply-adds", "flops"),
        ("parameters", "params"),
        ("channels", "channels"),
    ):
        part = share(now[name], before[name])
        rows.append((title, f"{before[name]:,}", f"{now[name]:,}", part))
    layers = {x.name: x.channels for x in after.layers if x.channels}
    value = {"path": str(path), "before": before, "after": now}
    text = f"{align(rows)}\nwritten to {path}"
    return Outcome(text, {**value, "layers": layers})
