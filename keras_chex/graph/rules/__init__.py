"""One rule per layer type; importing this package registers them all."""

from keras_chex.graph.rules import applications as applications
from keras_chex.graph.rules import contraction as contraction
from keras_chex.graph.rules import convolution as convolution
from keras_chex.graph.rules import dense as dense
from keras_chex.graph.rules import einsum as einsum
from keras_chex.graph.rules import elementwise as elementwise
from keras_chex.graph.rules import hub as hub
from keras_chex.graph.rules import join as join
from keras_chex.graph.rules import normalization as normalization
from keras_chex.graph.rules import own as own
from keras_chex.graph.rules import recurrent as recurrent
from keras_chex.graph.rules import shape as shape
from keras_chex.graph.rules import slicing as slicing
from keras_chex.graph.rules import spatial as spatial
from keras_chex.graph.rules import time as time
