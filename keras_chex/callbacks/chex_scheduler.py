"""`ChexScheduler`: explores channels while `model.fit` trains."""

import keras

from keras_chex.callbacks.budget import check_budget
from keras_chex.callbacks.clock import make_clock
from keras_chex.callbacks.exploration import Explorer
from keras_chex.callbacks.messages import print_message
from keras_chex.callbacks.options import Options
from keras_chex.graph.keras_nodes import read_variable


class ChexScheduler(keras.callbacks.Callback):
    """Prunes and regrows channels during training, down to a budget.

    Training starts from a sub-model. Every `interval`, an exploration step
    shares the budget between channel groups, keeps in each the channels that
    span the others best, and brings some dormant ones back with the values
    they had. Fewer come back each time (eq. 3: `regrow/2 * (1 + cos(pi *
    time/end))`); the step at `end` brings none, so that the budget is met from
    then on. Only active channels are computed.

    Epoch logs: `chex/flops` and `chex/params` (shares of the dense model),
    `chex/channels` (active units of the groups that can lose some) and
    `chex/regrown` (units brought back since the last epoch).

    Args:
        flops: float, share of the dense model's multiply-adds that is kept.
        params: float, share of its parameters that is kept. Exactly one of
            `flops`, `params` and `sparsity` must be given.
        sparsity: float, share of channels that is removed.
        regrow: float, `delta_0`: the share of every group's channels that the
            first steps bring back.
        interval: int, `Delta_T`: units between exploration steps.
        end: `T_max`: float, share of the run; or int, in units.
        unit: `"epoch"` or `"step"` (optimizer steps).
        criterion: what keeps a channel: `"css"` (column subset selection),
            `"l1"`, `"l2"`, `"bn_scale"` or `"random"`.
        sampling: how regrown channels are drawn: `"importance"`, `"uniform"`,
            or `"none"` for no regrowing.
        restore: values of regrown channels: `"mru"` (most recently used),
            `"zeros"` or `"random"`.
        allocation: how widths are shared between groups: `"bn_scale"`,
            `"bn_scale_raw"` or `"uniform"`.
        min_channels: int, no group gets narrower; or a dict from names or
            regular expressions of layers to ints, for the groups that these
            layers make.
        round_to: int, widths are multiples of it. The plan names the groups
            for which there is none.
        exclude: layers that keep all channels they make: names, regular
            expressions, layers or layer classes.
        seed: int, for the draws.
        verbose: 0 for silence, 1 for a plan and a line per exploration step.
        schedule: how regrowing fades: `"cosine"`, `"linear"`, `"constant"`,
            `"none"`, or a callable from progress in [0, 1] to a factor.
        probability: how residuals become probabilities: `"scale_free"`,
            `"softmax"` (the paper's), `"unsquared"` or `"uniform"`.
        blend: float, how far widths follow the scores: 0 is uniform widths,
            1 the scores alone. `None` follows them more as time goes on, fully
            at `end`.
        floor: float, no group falls below this share of its uniform width;
            `None` for the default of the allocation.
        input_shape: shape of one example, for a model that takes any size.
        max_channels: int or dict as `min_channels`: no group gets wider.

    Attributes:
        history: list of dicts, one per exploration step: `step` (optimizer
            iterations), `epoch`, `flops`, `params` (shares of dense),
            `widths` (`{group: active units}`) and `regrown`.

    Raises:
        ValueError: Before training, if an argument is out of range, does not
            fit the model or the run, or the budget cannot be reached.

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
        criterion="css",
        sampling="importance",
        restore="mru",
        allocation="bn_scale",
        min_channels=1,
        round_to=1,
        exclude=(),
        seed=0,
        verbose=1,
        schedule="cosine",
        probability="scale_free",
        blend=None,
        floor=None,
        input_shape=None,
        max_channels=None,
    ):
        super().__init__()
        self.budget = check_budget(
            flops=flops, params=params, sparsity=sparsity
        )
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
        )
        self.exclude = exclude
        self.input_shape = input_shape
        self.history = []
        self._explorer = None
        self._started = False
        self._epoch = 0
        self._regrown = 0
        if unit == "epoch":
            # Keras waits for every batch if the hook is overridden.
            self.on_train_batch_end = super().on_train_batch_end

    def on_train_begin(self, logs=None):
        options = self.options
        self._explorer = Explorer(
            self.model, self.budget, options, self.exclude, self.input_shape
        )
        self._clock = make_clock(
            options.interval,
            options.end,
            options.unit,
            self.params["epochs"],
            self.params.get("steps"),
        )
        self._started = False
        self._regrown = 0
        self._plan = self._explorer.plan(self._clock)

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        if not self._started:
            self._start()
        if self.options.unit == "epoch":
            self._explore_if_due(epoch)

    def on_train_batch_end(self, batch, logs=None):
        self._explore_if_due(self._iterations() - self._explorer.origin)

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            costs = self._explorer.costs()
            logs["chex/flops"] = costs["flops"]
            logs["chex/params"] = costs["params"]
            logs["chex/channels"] = float(costs["channels"])
            logs["chex/regrown"] = float(self._regrown)
        self._regrown = 0

    def on_train_end(self, logs=None):
        if self._explorer.done < self._clock.end:
            self._say(
                "\nTraining stopped before the end of exploration "
                f"({self.options.unit} {self._clock.end}); channels are cut to "
                "the budget now, without training after it."
            )
            self._explore(self._clock.end)

    def _start(self):
        """Begins a run, or goes on with one that was interrupted."""
        now = 0 if self.options.unit == "step" else self._epoch
        self._started = True
        self._say(str(self._plan))
        if self._explorer.resume(self._iterations(), now, self._clock):
            self._say(
                f"Going on after {self.options.unit} {self._explorer.done}."
            )
            return
        self._explorer.begin(self._iterations())
        self._record(0)

    def _explore_if_due(self, now):
        time = self._clock.due(self._explorer.done, now)
        if time is not None:
            self._explore(time)

    def _explore(self, time):
        step = self._iterations()
        result = self._explorer.explore(time, self._clock)
        self._regrown += result.regrown
        self._record(result.regrown)
        self._say(
            f"\nEpoch {self._epoch + 1}, step {step}: exploration "
            f"{self._clock.times.index(time) + 1}/{len(self._clock.times)}: "
            f"{result}"
        )

    def _record(self, regrown):
        costs = self._explorer.costs()
        self.history.append(
            {
                "step": self._iterations(),
                "epoch": self._epoch,
                "flops": costs["flops"],
                "params": costs["params"],
                "widths": costs["widths"],
                "regrown": regrown,
            }
        )

    def _iterations(self):
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        return int(read_variable(self.model.optimizer.iterations))

    def _say(self, text):
        if self.options.verbose:
            print_message(text)
