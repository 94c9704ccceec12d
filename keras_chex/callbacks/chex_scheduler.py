"""`ChexScheduler`: explores channels while `model.fit` trains."""

import keras

from keras_chex.callbacks.budget import check_budget, check_scope
from keras_chex.callbacks.latency import given_table, measured_table
from keras_chex.callbacks.options import Options
from keras_chex.callbacks.run import Run


class ChexScheduler(keras.callbacks.Callback):
    """Prunes and regrows channels during training, down to a budget.

    Training starts from a sub-model. Every `interval`, an exploration step
    shares the budget between channel groups, keeps in each the channels that
    span the others best, and brings some dormant ones back with the values
    they had, but unconnected to what follows. Fewer come back each time (eq.
    3: `regrow/2 * (1 + cos(pi * time/end))`); the step at `end` brings none,
    so that the budget is met from then on. Only active channels are computed.

    Epoch logs: `chex/flops` and `chex/params` (shares of the dense model),
    `chex/channels` (active units of the groups that can lose some) and
    `chex/regrown` (units brought back since the last epoch). With a latency
    budget also `chex/latency`, the predicted share of the dense latency.

    Args:
        flops: float, share of the dense model's multiply-adds that is kept.
        params: float, share of its parameters that is kept. Exactly one of
            `flops`, `params`, `sparsity` and `latency` must be given.
        sparsity: float, share of channels that is removed.
        regrow: float, `delta_0`: the share of every group's channels that the
            first steps bring back.
        interval: int, `Delta_T`: units between exploration steps.
        end: `T_max`: float, share of the run; or int, in units: `1.0` is the
            whole run, `1` one unit. Channels stay as they are from then on:
            leave time for training after it.
        unit: `"epoch"` or `"step"` (optimizer steps).
        criterion: what keeps a channel: `"css_consumers"` (column subset
            selection among what the next layers do with each channel),
            `"css"` (the same among what makes each channel: the paper's),
            `"l1"`, `"l2"`, `"bn_scale"`, `"fisher"` (as of `allocation`, but
            not over the cost) or `"random"`.
        sampling: how regrown channels are drawn: `"importance"`, `"uniform"`,
            `"none"` for no regrowing, or `"gradual"`: none, and widths that
            fall as slowly as with it.
        restore: values of regrown channels: `"preserve"`, those they had
            (most recently used), but what takes them starts at zero, so that
            the network goes on computing what it did; `"mru"`, all as they
            were (the paper's); `"zeros"` or `"random"`.
        allocation: how widths are shared between groups: `"fisher"`, by the
            squared gradients that the optimizer remembers (momentum or second
            moments), over what a channel costs; `"uniform"`, the same share
            of every group; `"auto"`, the first where the optimizer remembers
            gradients, else the second; `"cost"`, layers that cost more than
            others narrow more, and what costs next to nothing stays whole;
            `"bn_scale"` or `"bn_scale_raw"`, by the scales of
            BatchNormalization (the paper's letter).
        min_channels: int, no group gets narrower; or a dict from names or
            regular expressions of layers to ints, for the groups that these
            layers make.
        round_to: int, widths are multiples of it, which run faster. The plan
            names the groups for which there is none. `"auto"` chooses for
            each group the largest power of two that divides its size, is at
            most 16, and leaves 16 widths to choose from: 4 for 64 channels,
            16 from 256 on.
        exclude: layers that keep all channels they make: names, regular
            expressions, layers or layer classes.
        seed: int, for the draws.
        verbose: 0 for silence, 1 for a plan and a line per exploration step.
        schedule: how regrowing fades: `"cosine"`, `"linear"`, `"constant"`,
            `"none"`, a callable from progress in [0, 1] to a factor, or a
            pruning schedule of TensorFlow Model Optimization.
        probability: how residuals become probabilities: `"scale_free"`,
            `"softmax"` (the paper's), `"unsquared"` or `"uniform"`.
        blend: float, how far widths follow the scores of an allocation other
            than `"uniform"`: 0 is uniform widths, 1 the scores alone. `None`
            follows them more as time goes on, fully at `end`.
        floor: float, no group falls below this share of its uniform width,
            rounded down to a multiple of `round_to`, in such an allocation;
            `None` for 0.5, but none with `"bn_scale_raw"`.
        input_shape: shape of one example, for a model that takes any size.
        max_channels: int or dict as `min_channels`: no group gets wider.
        initial: what training starts with: `"uniform"`, the same share of
            every group (the paper's); or `"dense"`, all channels until the
            first exploration step, for a model that was trained before.
        latency: float, share of the dense model's latency in LiteRT that is
            kept: predicted from `latency_table`, one example, float32.
        latency_table: `LatencyTable` or path of its JSON file, made by
            `measure_latency` for this model, here or on another device.
            `None` measures one when training begins (minutes), for which Keras
            has to run on TensorFlow, in a job of one worker.
        budget_scope: the part of the model whose multiply-adds, parameters or
            channels the budget counts, such as `"backbone"`: the name of a
            nested model or block, or layers as in `exclude`. Channels that
            other layers make stay. `None` counts the whole model, as the
            epoch logs do in any case. Not with `latency`.
        streams: float in [0, 1], how far residual streams, in which several
            layers add up, get narrower with the other groups: to their share
            of the width to this power. 1 as far, 0 not at all, as long as the
            budget can be met.

    Attributes:
        latency_table: the `LatencyTable` of a latency budget; `None` before
            it was measured.
        history: list of dicts, one for the start and one per exploration
            step: `step` (optimizer iterations), `epoch`, `flops`, `params`
            (shares of dense; `latency` too where it is the budget), `widths`
            (`{group: active units}`), `regrown` and `fingerprint` (of what is
            active; equal on all workers).

    Raises:
        TypeError: If `latency_table` or an entry of `exclude` is of another
            kind.
        ValueError: Before training, if an argument is out of range, does not
            fit the model or the run, or the budget cannot be reached.
        ImportError: If a latency has to be measured and LiteRT is missing.
        RuntimeError: If the workers of a job do not agree.

    Example:

    >>> model = keras_chex.wrap(keras.Sequential([
    ...     keras.Input((4,)),
    ...     keras.layers.Dense(16, "relu", name="hidden"),
    ...     keras.layers.Dense(2),
    ... ]))
    >>> model.compile("sgd", "mse")
    >>> scheduler = ChexScheduler(params=0.5, interval=1, verbose=0)
    >>> x, y = np.ones((8, 4)), np.ones((8, 2))
    >>> history = model.fit(x, y, epochs=4, verbose=0, callbacks=[scheduler])
    >>> history.history["chex/params"][-1] <= 0.5
    True

    Reference:

    - [Hou et al., 2022](https://arxiv.org/abs/2203.15794)
    """

    def __init__(
        self,
        flops=None,
        params=None,
        sparsity=None,
        regrow=0.3,
        interval=2,
        end=0.72,
        unit="epoch",
        criterion="css_consumers",
        sampling="importance",
        restore="preserve",
        allocation="auto",
        min_channels=1,
        round_to="auto",
        exclude=(),
        seed=0,
        verbose=1,
        schedule="cosine",
        probability="scale_free",
        blend=None,
        floor=None,
        input_shape=None,
        max_channels=None,
        initial="uniform",
        latency=None,
        latency_table=None,
        budget_scope=None,
        streams=1.0,
    ):
        super().__init__()
        self.budget = check_budget(
            flops=flops, params=params, sparsity=sparsity, latency=latency
        )
        self.latency_table = given_table(self.budget, latency_table)
        self.options = Options(
            regrow,
            interval,
            end,
            unit,
            criterion,
            sampling,
            probability,
            restore,
            schedule,
            allocation,
            blend,
            floor,
            min_channels,
            max_channels,
            round_to,
            seed,
            verbose,
            initial,
            streams,
        )
        check_scope(budget_scope, *self.budget)
        self.budget_scope = budget_scope
        self.exclude = exclude
        self.input_shape = input_shape
        self.history = []
        self._run = None
        self._started = False
        self._last = None
        if unit == "epoch":
            # Keras waits for every batch if the hook is overridden.
            self.on_train_batch_end = super().on_train_batch_end

    def plan(self, model, epochs, steps_per_epoch=None):
        """Works out what a run would do, without training.

        Args:
            model: a compiled model with `ChexWrapper` layers.
            epochs: int, length of the run.
            steps_per_epoch: int, batches in an epoch; needed for
                `unit="step"`.

        Returns:
            A `Plan`; `str()` renders it, and `training_share` is the expected
            mean of the multiply-adds over the run, as a share of dense.
        """
        return Run(self, model, epochs, steps_per_epoch).plan

    def table_for(self, model):
        """The latency table of a run; measured now if it is needed and none.

        Args:
            model: a model with `ChexWrapper` layers.

        Returns:
            A `LatencyTable`, or `None` for a budget that is no latency.
        """
        if self.budget[0] == "latency" and self.latency_table is None:
            self.latency_table = measured_table(
                model, self.budget[1], self.input_shape, self.options.verbose
            )
        return self.latency_table

    def start(self, model, epochs, steps_per_epoch):
        """Begins a run in a training loop written by hand.

        Such a loop calls `step` after every batch and `finish` at the end.
        After `load_weights` of an interrupted run it goes on with that one.

        Args:
            model: a compiled model with `ChexWrapper` layers.
            epochs: int, length of the run.
            steps_per_epoch: int, batches in an epoch.

        Example:

        >>> model = keras_chex.wrap(keras.Sequential([
        ...     keras.Input((4,)),
        ...     keras.layers.Dense(16, "relu"),
        ...     keras.layers.Dense(2),
        ... ]))
        >>> model.compile("sgd", "mse")
        >>> scheduler = ChexScheduler(params=0.5, interval=1, verbose=0)
        >>> scheduler.start(model, epochs=4, steps_per_epoch=3)
        >>> for batch in range(4 * 3):
        ...     logs = model.train_on_batch(np.ones((8, 4)), np.ones((8, 2)))
        ...     changed = scheduler.step()
        >>> scheduler.finish()["chex/params"] <= 0.5
        True
        """
        self.set_model(model)
        self._run = Run(self, model, epochs, steps_per_epoch)
        self._run.start(self._epoch_by_steps())

    def step(self):
        """Tells the scheduler that a batch was trained.

        Returns:
            Bool: whether channels have changed. `train_on_batch` follows by
            itself; a function of your own that was compiled around the model
            has to be made anew.
        """
        self._run.epoch = self._epoch_by_steps()
        return self._run.explore_if_due()

    def finish(self):
        """Ends a run in a training loop written by hand.

        Returns:
            Dict, the logs of `fit`: costs of the final model.
        """
        self._run.finish()
        return self._run.logs()

    def _epoch_by_steps(self):
        made = self._run.iterations() - max(0, self._run.explorer.origin)
        return made // self._run.updates

    def on_train_begin(self, logs=None):
        self._run = Run(
            self, self.model, self.params["epochs"], self.params.get("steps")
        )
        self._started = False

    def on_epoch_begin(self, epoch, logs=None):
        if self._last is None:
            self._begin_epoch(epoch)

    def on_train_batch_end(self, batch, logs=None):
        if self._last is None:
            self._run.explore_if_due()

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs.update(self._run.logs())

    def on_train_end(self, logs=None):
        if self._last is None:
            self._run.finish()

    def _begin_epoch(self, epoch):
        if not self._started:
            # Not before now: a callback that restores a backup does so when
            # training begins.
            self._started = True
            self._run.start(epoch)
        self._run.epoch = epoch
        if self.options.unit == "epoch":
            self._run.explore_if_due()

    def first_and_last(self):
        """Parts of the callback for the front and the end of a list.

        A wrapped model's `fit` puts them there, so that the order in which
        callbacks are given does not matter: logs are there before anything
        writes them, and channels change after other callbacks have put the
        weights that belong to training in place.

        Returns:
            `(first, last)`, two callbacks.
        """
        self._last = _Last(self)
        return self, self._last

    def as_one(self):
        """Takes `first_and_last` back."""
        self._last = None


class _Last(keras.callbacks.Callback):
    """Changes channels when all other callbacks have had their turn."""

    def __init__(self, scheduler):
        super().__init__()
        self._scheduler = scheduler
        if scheduler.options.unit == "step":
            self.on_train_batch_end = self._explore

    def on_epoch_begin(self, epoch, logs=None):
        self._scheduler._begin_epoch(epoch)

    def _explore(self, batch, logs=None):
        self._scheduler._run.explore_if_due()

    def on_train_end(self, logs=None):
        self._scheduler._run.finish()
