"""`keras_chex inspect`: channel groups, what is frozen and why, cost."""

import dataclasses

import keras_chex
from keras_chex.analysis.summary import align
from keras_chex.cli.compress import costs
from keras_chex.cli.console import Outcome
from keras_chex.cli.files import read_model
from keras_chex.cli.options import add_command, add_input_shape

EXAMPLE = """\
  $ keras_chex inspect digits.keras

  One line per group of channels that can only go together, with what keeps
  it whole if nothing can be removed, and one line per layer with its cost.
  Pass a layer's name to `keras_chex compress --exclude` to keep its channels.
"""


def add(commands):
    """Adds the command."""
    parser = add_command(
        commands,
        "inspect",
        run,
        "Show which channels of a model can be removed, and what it costs.",
        EXAMPLE,
    )
    parser.add_argument("model", help="a .keras or .h5 file, plain or wrapped")
    add_input_shape(parser)


def run(args):
    """Reads the model and describes it."""
    found = keras_chex.summary(read_model(args.model), args.input_shape)
    rows = [("group", "channels", "made by", "")]
    for group, width in zip(found.groups, found.widths, strict=True):
        now = f"{width} / {group.size}" if width < group.size else f"{width}"
        made = group.producers[0]
        if len(group.producers) > 1:
            made += f" and {len(group.producers) - 1} more"
        state = f"kept: {group.frozen}" if group.frozen else ""
        rows.append((group.name, now, made, state))
    text = f"{align(rows)}\n\n{found}"
    return Outcome(text, described(found))


def described(found):
    """A `ModelSummary` as a dict."""
    groups = [
        {**dataclasses.asdict(group), "active": width}
        for group, width in zip(found.groups, found.widths, strict=True)
    ]
    return {
        "name": found.name,
        **costs(found),
        "dense": costs(found, dense=True),
        "groups": groups,
        "layers": [dataclasses.asdict(layer) for layer in found.layers],
    }
