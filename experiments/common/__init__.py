"""What the programs share: data, models, training, measurements."""

import logging
import os

# TensorFlow reads it once, when it is first imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# It warns of functions that are traced again, which exploration is about.
logging.getLogger("tensorflow").setLevel(logging.ERROR)
