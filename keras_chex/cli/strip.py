"""`keras_chex strip`: the plain model behind a wrapped one."""

import keras_chex
from keras_chex.cli.compress import costs, written
from keras_chex.cli.files import read_model
from keras_chex.cli.options import add_command, add_input_shape
from keras_chex.export.staging import staged_file

EXAMPLE = """\
  $ keras_chex strip checkpoint.keras -o plain.keras

  For a file that `model.save` or ModelCheckpoint wrote of a wrapped model. The
  new file holds active channels only, and is loaded without this package.
"""


def add(commands):
    """Adds the command."""
    parser = add_command(
        commands,
        "strip",
        run,
        "Cut a wrapped model down to its active channels.",
        EXAMPLE,
    )
    parser.add_argument("model", help="a .keras file of a wrapped model")
    parser.add_argument(
        "-o", "--output", required=True, help="the .keras file to write"
    )
    add_input_shape(parser)


def run(args):
    """Strips and writes."""
    with staged_file(args.output, ".keras") as staged:
        model = read_model(args.model)
        plain = keras_chex.strip(model)
        before = keras_chex.summary(model, args.input_shape)
        after = keras_chex.summary(plain, args.input_shape)
        plain.save(staged)
    return written(args.output, costs(before, dense=True), after)
