"""The table of layers that Keras 3 and `tf_keras` (Keras 2) both have.

Layers of a row have one name in both libraries, and mean the same by arguments
of one name. A row says what differs. An argument that only one side knows is
left out where it has its default and refused elsewhere; so a row is empty for
most layers. Initialisers are not carried over: the weights are.
"""

import dataclasses
import inspect
from collections.abc import Mapping

import keras
import numpy as np

from keras_chex.export.tf_keras_activations import SHARED, activation_name


@dataclasses.dataclass(frozen=True)
class Row:
    """What differs between the two layers of one name.

    Attributes:
        renamed: `{argument of Keras 3: argument of tf_keras}`.
        weights: `{weight of Keras 3: weight of tf_keras}`.
        inert: arguments that change nothing, whatever their value.
        implied: values that the side without the argument always has.
        constants: attributes of the layer, by the argument that sets them.
    """

    renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    weights: Mapping[str, str] = dataclasses.field(default_factory=dict)
    inert: tuple[str, ...] = ()
    implied: Mapping[str, object] = dataclasses.field(default_factory=dict)
    constants: Mapping[str, str] = dataclasses.field(default_factory=dict)


_SAME = Row()
_DEPTHWISE = Row(weights={"kernel": "depthwise_kernel"})


def _each(stem, dimensions="123"):
    return {f"{stem}{n}D": _SAME for n in dimensions}


ROWS = {
    **_each("Conv"),
    **{f"Conv{n}DTranspose": _SAME for n in "123"},
    "DepthwiseConv1D": _DEPTHWISE,
    "DepthwiseConv2D": _DEPTHWISE,
    **_each("SeparableConv", "12"),
    "Dense": _SAME,
    "EinsumDense": _SAME,
    "Embedding": Row(inert=("input_length",)),
    "BatchNormalization": Row(inert=("fused",)),
    "LayerNormalization": _SAME,
    "GroupNormalization": _SAME,
    "UnitNormalization": _SAME,
    "Normalization": Row(
        constants={"mean": "mean", "variance": "variance"},
        # As weights they are there only after `adapt`.
        weights={"mean": "", "variance": "", "count": ""},
    ),
    "Rescaling": _SAME,
    "Activation": _SAME,
    "ReLU": _SAME,
    "LeakyReLU": Row(renamed={"negative_slope": "alpha"}),
    "PReLU": _SAME,
    "ELU": _SAME,
    "Softmax": _SAME,
    **_each("MaxPooling"),
    **_each("AveragePooling"),
    **_each("GlobalMaxPooling"),
    **_each("GlobalAveragePooling"),
    **_each("ZeroPadding", "23"),
    "ZeroPadding1D": Row(implied={"data_format": "channels_last"}),
    **_each("Cropping"),
    **_each("UpSampling"),
    "Resizing": Row(implied={"data_format": "channels_last"}),
    "Flatten": _SAME,
    "Reshape": _SAME,
    "Permute": _SAME,
    "RepeatVector": _SAME,
    "Identity": _SAME,
    "Masking": _SAME,
    **dict.fromkeys(
        ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"), _SAME
    ),
    "Concatenate": _SAME,
    "Dot": _SAME,
    "Dropout": _SAME,
    **_each("SpatialDropout"),
    "GaussianNoise": _SAME,
    "GaussianDropout": _SAME,
    "AlphaDropout": _SAME,
    "ActivityRegularization": _SAME,
    "TimeDistributed": _SAME,
}

_REGULARIZERS = ("L1", "L2", "L1L2", "OrthogonalRegularizer")
_CONSTRAINTS = ("MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm")
_BASE = ("name", "dtype")
# Set on the new layer: not every class of Keras 2 takes them.
_SET_LATER = ("trainable", "layer", "batch_input_shape")


@dataclasses.dataclass(frozen=True)
class Side:
    """One of the two libraries, as the one converted from or to.

    Attributes:
        library: the module, `keras` or `tf_keras`.
        name: what messages call it.
    """

    library: object
    name: str

    @property
    def is_keras_3(self):
        return self.library is keras

    def layer_class(self, name):
        """The layer class of a name, None where this side has none."""
        return getattr(self.library.layers, name, None)


def both_sides():
    """Returns `(Keras 3, tf_keras)`.

    Raises:
        ImportError: If `tf_keras` is not installed.
    """
    try:
        import tf_keras
    except ImportError as error:
        raise ImportError(
            "Converting to and from Keras 2 needs `tf_keras`, which is not "
            "installed: `pip install keras_chex[tfmot]`"
        ) from error
    return Side(keras, "Keras 3"), Side(tf_keras, "tf_keras")


def row_of(layer, source, target):
    """Returns the row for a layer.

    Raises:
        ValueError: If the table has none for its class.
    """
    kind = type(layer)
    known = kind is source.layer_class(kind.__name__)
    if known and kind.__name__ in ROWS:
        if target.layer_class(kind.__name__) is not None:
            return ROWS[kind.__name__]
    raise ValueError(
        "Argument `model` must consist of layers that Keras 3 and tf_keras "
        f"share. Received: layer '{layer.name}' of class {kind.__name__}, "
        f"which has no equivalent in {target.name}. Replace it by such layers, "
        "or leave it outside the converted model."
    )


def converted_layer(layer, source, target, inside=SHARED):
    """Makes the layer of the other library that computes the same.

    Its weights do not exist yet; an activation that may not stay inside becomes
    linear.

    Args:
        layer: a layer of `source`.
        source: `Side` it is of.
        target: `Side` of the new one.
        inside: names of the activations that stay inside.

    Returns:
        A layer of `target`.

    Raises:
        ValueError: If the table has no row for its class, or an argument has a
            value that the other class does not take.
    """
    row = row_of(layer, source, target)
    kind = target.layer_class(type(layer).__name__)
    config = _config(layer, row, source, target)
    if "activation" in config:
        name = activation_name(layer, source)
        config["activation"] = name if name in inside else "linear"
    if isinstance(layer, source.library.layers.Wrapper):
        config["layer"] = converted_layer(layer.layer, source, target)
    return kind(**config)


def _config(layer, row, source, target):
    found = layer.get_config()
    names = dict(row.renamed)
    if not source.is_keras_3:
        names = {there: here for here, there in names.items()}
    known = _defaults(target.layer_class(type(layer).__name__))
    defaults = {**_defaults(type(layer)), **row.implied}
    config = {}
    for key, value in found.items():
        if key.endswith("_initializer") or key in (*row.inert, *_SET_LATER):
            continue
        new = names.get(key, key)
        if new in known or new in _BASE:
            config[new] = _value(layer, key, value, target)
        elif not _is_default(value, defaults.get(key)):
            raise ValueError(
                "Argument `model` must use arguments that both libraries know. "
                f"Received: layer '{layer.name}' with {key}={value!r}, which "
                f"{type(layer).__name__} of {target.name} has not"
            )
    config.update(_constants(layer, row))
    config["dtype"] = policy_name(layer)
    return config


def _constants(layer, row):
    """Values that were measured on data, as the arguments that set them."""
    return {
        argument: np.asarray(getattr(layer, attribute)).reshape(-1).tolist()
        for argument, attribute in row.constants.items()
    }


def policy_name(layer):
    """The dtype policy of a layer, by the name it has in both libraries."""
    policy = getattr(layer, "dtype_policy", None)
    return policy.name if policy is not None else layer._dtype_policy.name


def _defaults(kind):
    """Arguments of a layer class with their defaults, inherited ones too."""
    found = {}
    for cls in kind.__mro__:
        if "__init__" not in vars(cls):
            continue
        parameters = inspect.signature(cls.__init__).parameters.values()
        for p in parameters:
            if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
                found.setdefault(p.name, p.default)
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            break
    # Every layer takes one; of its base class this is an own argument.
    return {**found, "activity_regularizer": None}


def _is_default(value, default):
    if value is None or value is False:
        return True
    return not isinstance(value, np.ndarray) and value == default


def _value(layer, key, value, target):
    if key.endswith("_regularizer"):
        return _remade(layer, key, value, target, "regularizers", _REGULARIZERS)
    if key.endswith("_constraint"):
        return _remade(layer, key, value, target, "constraints", _CONSTRAINTS)
    if key == "axis" and isinstance(value, list | tuple) and len(value) == 1:
        # A built normalisation of Keras 2 lists its axes.
        return value[0]
    return value


def _remade(layer, key, value, target, module, known):
    if value is None:
        return None
    name = value["class_name"] if isinstance(value, dict) else value
    if name not in known:
        raise ValueError(
            f"Argument `model` must use {module} of both libraries, "
            f"{list(known)}. Received: layer '{layer.name}' with {key}={value}"
        )
    return getattr(getattr(target.library, module), name)(**value["config"])


def copy_weights(layer, new):
    """Gives a converted layer the weights of the original, by their names.

    Args:
        layer: the layer, of either library.
        new: the built layer of the other one.

    Raises:
        RuntimeError: If the two have other weights.
    """
    if hasattr(layer, "layer"):
        copy_weights(layer.layer, new.layer)
        return
    row = ROWS[type(layer).__name__]
    given = _weights_by_name(layer, row)
    taken = _weights_by_name(new, row)
    if given.keys() != taken.keys():
        raise RuntimeError(
            f"Layer '{layer.name}' has the weights {sorted(given)}, its "
            f"conversion {sorted(taken)}. Please report the layer's config."
        )
    for name, weight in taken.items():
        weight.assign(_array(given[name]))


def _weights_by_name(layer, row):
    """Weights by the names of `tf_keras`; seeds of noise are no weights."""
    found = {}
    for weight in layer.weights:
        name = weight.name.split(":")[0].rsplit("/", 1)[-1]
        name = row.weights.get(name, name)
        if name and name != "seed_generator_state":
            found[name] = weight
    return found


def _array(weight):
    if isinstance(weight, keras.Variable):
        return keras.ops.convert_to_numpy(weight)
    return weight.numpy()
