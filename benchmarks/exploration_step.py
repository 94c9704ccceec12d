"""Times one exploration step on ResNet-50, phase by phase.

The model is `keras.applications.ResNet50` on 224 x 224 images, untrained, with
a momentum drawn at random, in the middle of a run to `--flops`. Expect less
than three seconds a step on two cores. One minute in all:

    python -m benchmarks.exploration_step --flops=0.5

The table is printed; `--output` gets it as JSON, with the machine.
"""

import keras
import numpy as np
from absl import app, flags

import keras_chex
from benchmarks.phases import Phases
from benchmarks.report import table, write_json
from keras_chex.algorithms.allocation import allocate
from keras_chex.algorithms.exploration import explore
from keras_chex.callbacks.clock import make_clock
from keras_chex.callbacks.exploration import Explorer
from keras_chex.layers.active import read_active, write_active
from keras_chex.layers.group_arrays import read_groups

FLAGS = flags.FLAGS

# model
flags.DEFINE_integer("image_size", 224, "Height and width of the images.")
# exploration
flags.DEFINE_float("flops", 0.5, "Budget, as a share of the dense FLOPs.")
flags.DEFINE_integer("round_to", 1, "Widths are multiples of this.")
flags.DEFINE_enum(
    "criterion",
    "css_consumers",
    ["css_consumers", "css", "l1", "l2"],
    "What keeps channels.",
)
# measurement
flags.DEFINE_integer("steps", 5, "Exploration steps that are timed.")
flags.DEFINE_string("output", "runs/exploration_step.json", "JSON to write.")


def build_model():
    """ResNet-50 for images of the chosen size."""
    size = (FLAGS.image_size, FLAGS.image_size, 3)
    return keras.applications.ResNet50(weights=None, input_shape=size)


def compile_as_trained(model):
    """Gives the model an optimizer that remembers gradients."""
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer)
    optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(0)
    for slot in optimizer.momentums:
        slot.assign(rng.normal(0.0, 0.01, slot.shape))


def step_by_phases(explorer, phases, progress, seed):
    """Decides and applies one exploration step with a clock on each phase."""
    graph, budget = explorer.graph, explorer.budget
    active = phases.time("read what is active", read_active, graph)
    names = (group.name for group in explorer.groups)
    bounds = zip(budget.min_widths, budget.max_widths, strict=True)
    bounds = dict(zip(names, bounds, strict=True))
    arrays = phases.time(
        "gather weights",
        read_groups,
        graph,
        active,
        bounds,
        explorer.model.optimizer,
        consumers=FLAGS.criterion == "css_consumers",
    )
    information = [
        np.where(group.active, group.fisher, 0.0) for group in arrays
    ]
    phases.time(
        "allocate widths",
        allocate,
        information,
        budget.sizes,
        budget.cost,
        budget.limit,
        allocation="fisher",
        min_widths=budget.min_widths,
        round_to=FLAGS.round_to,
        blend=progress,
    )
    options = {
        "allocation": "fisher",
        "criterion": FLAGS.criterion,
        "blend": progress,
        "round_to": FLAGS.round_to,
        "seed": seed,
    }
    for name, fraction in (("allocate + prune", 0.0), ("decide", 0.15)):
        result = phases.time(
            name,
            explore,
            arrays,
            budget.cost,
            budget.limit,
            regrow_fraction=fraction,
            **options,
        )
    for group, mask in zip(explorer.groups, result.active, strict=True):
        active[group.name] = mask
    phases.time(
        "apply to the model",
        write_active,
        explorer.model,
        graph,
        active,
        "preserve",
    )


def phase_table(phases):
    """Returns the seconds of the phases that add up to a step.

    `explore` does three of them at once, in threads; what pruning and regrowing
    take is the difference between calls that do one thing more.
    """
    return {
        "read what is active": phases.medians("read what is active"),
        "gather weights": phases.medians("gather weights"),
        "allocate widths": phases.medians("allocate widths"),
        f"prune by {FLAGS.criterion}": phases.added(
            "allocate + prune", "allocate widths"
        ),
        "regrow": phases.added("decide", "allocate + prune"),
        "apply to the model": phases.medians("apply to the model"),
    }


def main(argv):
    del argv
    phases = Phases()
    plain = build_model()
    model = phases.time("wrap, once", keras_chex.wrap, plain)
    compile_as_trained(model)
    scheduler = keras_chex.ChexScheduler(
        flops=FLAGS.flops,
        criterion=FLAGS.criterion,
        round_to=FLAGS.round_to,
        verbose=0,
    )
    explorer = phases.time(
        "read the graph, once",
        Explorer,
        model,
        scheduler.budget,
        scheduler.options,
    )
    clock = make_clock(2, 2 * (FLAGS.steps + 1), "epoch", 100, None)
    explorer.begin(0)
    for index, moment in enumerate(clock.times[: FLAGS.steps]):
        step_by_phases(explorer, phases, moment / clock.end, seed=index)
        phases.time("whole step", explorer.explore, moment, clock)
    seconds = {
        "wrap, once": phases.medians("wrap, once"),
        "read the graph, once": phases.medians("read the graph, once"),
        **phase_table(phases),
        "whole step": phases.medians("whole step"),
    }
    rows = [("phase", "seconds", "core seconds")]
    rows += [
        (name, f"{wall:.3f}", f"{cpu:.3f}")
        for name, (wall, cpu) in seconds.items()
    ]
    print(table(rows))
    names = ("image_size", "flops", "round_to", "criterion", "steps")
    result = {
        "flags": {name: FLAGS[name].value for name in names},
        "groups": len(explorer.groups),
        "units": int(explorer.budget.sizes.sum()),
        "seconds": {name: wall for name, (wall, _) in seconds.items()},
        "core_seconds": {name: cpu for name, (_, cpu) in seconds.items()},
        "whole_steps": phases.seconds["whole step"],
    }
    write_json(FLAGS.output, result)
    print(f"written: {FLAGS.output}")


if __name__ == "__main__":
    app.run(main)
