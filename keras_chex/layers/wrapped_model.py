"""The user's model with wrapped layers: its class, its file, its traces."""

import contextlib
import functools
import gc
import pathlib
import tempfile

import keras

from keras_chex.graph.channels import read_channels
from keras_chex.graph.copies import layer_names, rename_layers
from keras_chex.graph.keras_nodes import (
    all_layers,
    deserialize,
    sync_state,
)
from keras_chex.graph.keras_swap import accept_any_width, replace_layers
from keras_chex.graph.keras_training import (
    has_workers,
    local_batch,
    with_axis,
)
from keras_chex.graph.program import read_program
from keras_chex.layers.chex_wrapper import ChexWrapper
from keras_chex.layers.lent_weights import lend
from keras_chex.layers.traces import release_traces


class _State:
    """What a wrapped model knows besides its layers; not tracked by Keras."""

    def __init__(self, config, exclude, names):
        self.config = config
        self.exclude = exclude
        self.names = names
        self.traced = {}


class WrappedModel:
    """Mixed into the class of a wrapped model.

    A compiled function is only right for the widths it was made at. Before
    Keras uses one, the widths are compared, and it is made anew if they have
    changed: after `set_active`, `set_weights`, `load_weights` or an
    exploration step.
    """

    # `wrap_in_place` alone makes wrapped models. Keras' `clone_model` calls the
    # class with clones of the layers, and gets what it gets for a `Sequential`:
    # a model of the user's class with `ChexWrapper` layers.
    def __new__(cls, *args, **kwargs):
        return _plain_class(cls)(*args, **kwargs)

    @functools.wraps(keras.Model.fit)
    def fit(self, *args, **kwargs):
        callbacks, others, options = _take_callbacks(args, kwargs)
        if callbacks is None:
            return super().fit(*args, **kwargs)
        with in_order(callbacks) as ordered:
            return super().fit(*others, callbacks=ordered, **options)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Keras averages the batches of all workers here, and fails.
        if iterator is not None and has_workers(self):
            iterator, data_batch = None, local_batch(self, iterator)
        super()._maybe_symbolic_build(iterator, data_batch)

    # Keras averages the logs of all workers along their first axis.
    def train_step(self, *args, **kwargs):
        return with_axis(self, super().train_step(*args, **kwargs))

    def test_step(self, *args, **kwargs):
        return with_axis(self, super().test_step(*args, **kwargs))

    def make_train_function(self, force=False):
        force = self._drop_stale("train") or force
        with new_step(self, "train"):
            return super().make_train_function(force=force)

    def make_test_function(self, force=False):
        force = self._drop_stale("test") or force
        with new_step(self, "test"):
            return super().make_test_function(force=force)

    def make_predict_function(self, force=False):
        force = self._drop_stale("predict") or force
        return super().make_predict_function(force=force)

    def save(self, filepath, *args, **kwargs):
        # Keras writes such a file and cannot read it.
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                "Argument `filepath` of `save` must end in `.keras` for a "
                "wrapped model: Keras loads no class of ours from HDF5. "
                f"Received: filepath={filepath}. `save_weights` and "
                "`strip(model).save` write HDF5 too."
            )
        super().save(filepath, *args, **kwargs)

    def __reduce__(self):
        return _from_bytes, (_to_bytes(self),)

    @property
    def excluded_layers(self):
        """Names of the layers that keep all their channels."""
        return tuple(self._chex.exclude)

    def _drop_stale(self, kind):
        """Drops a function made for other widths; tells whether it was."""
        widths = prepare(self)
        before = self._chex.traced.get(kind, widths)
        self._chex.traced[kind] = widths
        if before != widths:
            drop_functions(self, [kind])
        return before != widths

    def get_config(self):
        if isinstance(self._chex.config, Exception):
            raise self._chex.config
        return {
            "model": self._chex.config,
            "exclude": self._chex.exclude,
            "names": self._chex.names,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        model = deserialize(config["model"], custom_objects)
        rename_layers(model, config["names"])
        return wrap_in_place(model, config["exclude"])


def _to_bytes(model):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()


def _from_bytes(content):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        path.write_bytes(content)
        return keras.saving.load_model(path)


def wrap_in_place(model, exclude=()):
    """Turns a plain model into a wrapped one.

    Args:
        model: a built model that nobody else uses.
        exclude: list of names of layers that keep all their channels.

    Returns:
        `model`, now of a subclass of its class.
    """
    config, names = _config(model), layer_names(model)
    graph = read_channels(model, exclude)
    frozen = [group.frozen is not None for group in graph.groups]
    replacements = {}
    for op in graph.operations:
        if op.is_code:
            continue
        touched = [*op.sides.values()]
        if not op.weights and isinstance(op.layer, keras.layers.Layer):
            # A layer without weights may fix its width when it is built.
            accept_any_width(op.layer)
        if op.stand_in is not None:
            touched.append(op.counted)
        groups = {
            group
            for ids in touched
            for group in graph.group_of[graph.unit_of[ids]].tolist()
        }
        if all(group < 0 or frozen[group] for group in groups):
            continue
        if op.stand_in is not None:
            old = op.layer if op.source is None else op.source
            replacements[id(old)] = old, op.stand_in
            if isinstance(op.stand_in, keras.layers.Layer):
                # Keras before 3.12 fixes here every size it can work out.
                op.stand_in.build((None,) * len(op.shapes[0][0]))
            continue
        wrapper = ChexWrapper(op.layer, exclude=op.name in exclude)
        wrapper.build((None, *op.shapes[0][0][1:]))
        replacements[id(op.layer)] = op.layer, wrapper
    replace_layers(model, replacements)
    for layer in graph.program.opened:
        accept_any_width(layer)
        lend(layer, replacements)
    _require_replaced(model, graph, replacements)
    model.__class__ = _wrapped_class(type(model))
    model._chex = _State(config, list(exclude), names)
    return model


def _take_callbacks(args, kwargs):
    """Takes `callbacks` out of the arguments of `fit`."""
    place = 5  # Of `fit(x, y, batch_size, epochs, verbose, callbacks, ...)`.
    if len(args) <= place:
        kwargs = dict(kwargs)
        return kwargs.pop("callbacks", None), args, kwargs
    names = ("validation_split", "validation_data", "shuffle", "class_weight")
    names += ("sample_weight", "initial_epoch", "steps_per_epoch")
    names += ("validation_steps", "validation_batch_size", "validation_freq")
    more = dict(zip(names, args[place + 1 :], strict=False))
    return args[place], args[:place], {**more, **kwargs}


@contextlib.contextmanager
def in_order(callbacks):
    """Puts both ends of callbacks that have two where they belong.

    A callback with a method `first_and_last` is put first in the list, and what
    it asks to be called last is put there. Others keep their order.

    Args:
        callbacks: what `fit` takes.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        yield callbacks
        return
    given = keras.tree.flatten(callbacks)
    divided = [c for c in given if hasattr(c, "first_and_last")]
    others = [c for c in given if not hasattr(c, "first_and_last")]
    ends = [callback.first_and_last() for callback in divided]
    try:
        yield [
            *(first for first, _ in ends),
            *others,
            *(last for _, last in ends),
        ]
    finally:
        for callback in divided:
            callback.as_one()


def _config(model):
    """The config of the plain model; or why it has none, for who saves it."""
    try:
        config = keras.saving.serialize_keras_object(model)
    except Exception as error:  # noqa: BLE001
        # The user's layers may raise anything at all; who never saves the
        # model need not mind.
        return error
    config.pop("compile_config", None)
    return config


def _require_replaced(model, graph, replacements):
    """Raises where the user's code keeps a layer out of reach."""
    if not graph.program.opened:
        return
    again = read_program(model)
    if isinstance(again, str):
        raise TypeError(
            f"Model '{model.name}' cannot be wrapped: with ChexWrapper layers "
            f"in it, it {again}. Exclude the layer with `exclude`."
        )
    for call in again.calls:
        if id(call.node.operation) in replacements:
            name = "/".join((*call.path, call.node.operation.name))
            raise TypeError(
                f"Layer '{name}' of model '{model.name}' cannot be replaced: "
                "its code reaches it through something that is no attribute, "
                "list, tuple or dict of a layer. Keep it in an attribute, or "
                "pass it in `exclude`."
            )


def _plain_class(wrapped_class):
    """The user's class, of which `wrapped_class` was made."""
    return wrapped_class.__mro__[wrapped_class.__mro__.index(WrappedModel) + 1]


@functools.cache
def _wrapped_class(model_class):
    """A subclass of the user's class; all are saved under one name."""
    name = f"Chex{model_class.__name__}"
    made = type(name, (WrappedModel, model_class), {"__module__": __name__})
    register = keras.saving.register_keras_serializable(
        package="keras_chex", name="WrappedModel"
    )
    return register(made)


# Loading needs a class under that name before any model was wrapped.
_wrapped_class(keras.Sequential)


def wrappers(model):
    """Lists the `ChexWrapper` layers of a model, nested ones included."""
    found = {}
    for layer in all_layers(model):
        if isinstance(layer, ChexWrapper):
            found[id(layer)] = layer
    return list(found.values())


def is_wrapped(model):
    """Tells whether any layer of a model is a `ChexWrapper`."""
    return bool(wrappers(model))


def prepare(model):
    """Fits all narrow twins of a model to the stored channels.

    Returns:
        Tuple with the active widths of every wrapper.
    """
    sync_state(model)
    return tuple(wrapper.prepare() for wrapper in wrappers(model))


@contextlib.contextmanager
def new_step(model, kind):
    """Makes a compiled function differ from all that were made before.

    JAX knows a compiled function by the method it was made from. While anything
    holds an earlier one, be it the traceback of an interrupted `fit`, it would
    run that one at its widths.

    Args:
        model: a Keras model, whose function is made within this scope.
        kind: `"train"`, `"test"` or `"predict"`.
    """
    if keras.backend.backend() != "jax":
        yield
        return
    name, attributes = f"{kind}_step", vars(model)
    step, before = getattr(model, name), attributes.get(name)

    @functools.wraps(step)
    def anew(*args, **kwargs):
        return step(*args, **kwargs)

    attributes[name] = anew
    try:
        yield
    finally:
        del attributes[name]
        if before is not None:
            attributes[name] = before


def refresh(model):
    """Makes a model follow a change of widths that it was not told of.

    A model from `wrap` does this by itself. One built by hand from
    `ChexWrapper` layers needs it after `load_weights` or `set_weights`;
    `set_active` and `ChexScheduler` call it.

    Args:
        model: a Keras model with `ChexWrapper` layers.

    Example:

    >>> layer = ChexWrapper(keras.layers.Dense(4, name="hidden"))
    >>> model = keras.Sequential([keras.Input((3,)), layer])
    >>> refresh(model)
    """
    prepare(model)
    for kind in drop_functions(model, ("train", "test", "predict")):
        # `fit` calls the function it finds on the model at every step.
        with new_step(model, kind):
            getattr(model, f"make_{kind}_function")(force=True)


def drop_functions(model, kinds):
    """Takes compiled functions from a model, with the memory they hold.

    Args:
        model: a Keras model.
        kinds: list of `"train"`, `"test"`, `"predict"`.

    Returns:
        List of the kinds of which there was one.
    """
    names = {kind: f"{kind}_function" for kind in kinds}
    dropped = [k for k in kinds if getattr(model, names[k], None) is not None]
    released = False
    for kind in dropped:
        released |= release_traces(getattr(model, names[kind]))
        setattr(model, names[kind], None)
    if released:
        gc.collect()
    return dropped
