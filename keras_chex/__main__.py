"""Runs the command line: `python -m keras_chex --help`."""

import sys

from keras_chex.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
