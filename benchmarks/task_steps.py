"""Times a training step of the other tasks, with CHEX against dense.

The networks are those of the pages about detection, instance segmentation and
point clouds, on made-up pictures and clouds. Three models take turns: the
dense one, a uniform sub-model that costs as much as the plan of the whole run
does on average, and one of the budget. Time is nearly linear in the cost, so
the second stands for the mean step of the run; exploration steps and retraces
are not in it. Seconds of all cores are compared (`--clock=wall` for the
others). Eight minutes on two cores:

    python -m benchmarks.task_steps
"""

import dataclasses
import pathlib
import statistics
import tempfile
import time

import numpy as np
from absl import app, flags

import keras_chex
from benchmarks.alternate import alternate, median_ratio
from benchmarks.report import table, write_json
from benchmarks.submodel import uniform_submodel
from experiments.common import (
    coco_data,
    coco_pipeline,
    coco_shapes,
    detection_models,
    detection_recipe,
    mask_model,
    mask_pipeline,
    mask_recipe,
    point_files,
    point_models,
    point_pipeline,
    point_recipe,
)

FLAGS = flags.FLAGS
FLOPS = 0.5
STEPS = 100


@dataclasses.dataclass(frozen=True)
class Task:
    """What one task trains.

    Attributes:
        build: function without arguments that returns a plain model.
        compile: function of a model.
        batches: a `tf.data.Dataset` of training batches.
        epochs: int, of the run in the task's page.
        explore: dict, arguments of `ChexScheduler` there.
    """

    build: object
    compile: object
    batches: object
    epochs: int
    explore: dict


def detection(folder):
    """RetinaNet of docs/detection.md."""
    pictures = _shapes(folder, (160, 224))
    network = detection_models.RetinaNet(
        classes=len(pictures.classes),
        image_size=(160, 224),
        depth=18,
        widths=(64, 64, 96, 128),
        levels=(4, 6),
        head_layers=1,
        pyramid_norm=True,
        anchor_size=1.25,
    )
    recipe = detection_recipe.DetectionRecipe(
        epochs=60, batch_size=8, optimizer="adam", lr=1e-3, fall="cosine"
    )
    batches = coco_pipeline.CocoBatches(pictures, (160, 224), 8)
    return Task(
        network.build,
        lambda model: detection_recipe.compile_detector(model, recipe, STEPS),
        batches.train(),
        recipe.epochs,
        {"interval": 4, "end": 0.5},
    )


def instances(folder):
    """Mask R-CNN of docs/instances.md."""
    pictures = _shapes(folder, (192, 192))
    recipe = mask_recipe.MaskRecipe(epochs=60, batch_size=8)
    return Task(
        lambda: mask_model.MaskRCNN(
            (192, 192),
            len(pictures.classes),
            backbone="resnet18",
            width=16,
            channels=32,
            dense=64,
            anchor_size=3.0,
            proposals=128,
            detections=100,
            sampled=64,
            sampled_anchors=128,
        ),
        lambda model: mask_recipe.compile_model(model, recipe, STEPS),
        mask_pipeline.MaskBatches(pictures, (192, 192), 8, objects=150).train(),
        recipe.epochs,
        {"interval": 3, "end": 0.5},
    )


def point_clouds(folder):
    """PointNet++ of docs/pointcloud.md."""
    del folder
    clouds = point_files.synthetic_points(points=256).centred(
        to_unit_sphere=False
    )
    groupings = point_models.make_groupings((64, 16), (0.6, 1.5), (16, 16), 0.5)
    head = point_models.scaled(point_models.HEAD, 0.5)
    recipe = point_recipe.PointRecipe(epochs=80, batch_size=32)
    return Task(
        lambda: point_models.pointnet2(
            256, len(clouds.classes), groupings, head, 0.4
        ),
        lambda model: point_recipe.compile_model(model, recipe, STEPS),
        point_pipeline.PointBatches(clouds, 256, 32).train(),
        recipe.epochs,
        {"interval": 6, "end": 0.4},
    )


TASKS = {
    "detection": detection,
    "instance segmentation": instances,
    "point clouds": point_clouds,
}

flags.DEFINE_multi_enum("task", None, list(TASKS), "Only these; repeat it.")
flags.DEFINE_integer("rounds", 9, "Timed rounds, one step of each model.")
flags.DEFINE_enum("clock", "cpu", ["wall", "cpu"], "As in training_step.")
flags.DEFINE_string("output", "runs/task_steps.json", "JSON to write.")


def _shapes(folder, size):
    return coco_data.load_coco(
        coco_shapes.write_shapes(folder / f"{size[1]}", size=size)
    )


def time_task(task, rounds, clock):
    """Times one task's steps.

    Returns:
        Dict: the mean share of the FLOPs in the plan, the seconds of every
        step, ratios to the dense step.
    """
    dense = task.build()
    scheduler = keras_chex.ChexScheduler(flops=FLOPS, verbose=0, **task.explore)
    plan = scheduler.plan(keras_chex.wrap(dense), task.epochs, STEPS)
    models = {"dense": dense}
    for name, share in (("mean", plan.training_share), ("last", FLOPS)):
        models[name] = keras_chex.wrap(dense)
        chosen = uniform_submodel(models[name], share)
        keras_chex.set_active(models[name], chosen)
    steps = {}
    for name, model in models.items():
        task.compile(model)
        steps[name] = _step(model, task.batches)
    seconds = alternate(steps, rounds, clock=clock)
    return {
        "mean_flops": plan.training_share,
        "last_flops": FLOPS,
        "seconds_per_step": seconds,
        "ratios": {
            name: median_ratio(seconds[name], seconds["dense"])
            for name in ("mean", "last")
        },
    }


def _step(model, batches):
    """A function that trains for one step, on the same batch every time."""
    iterator = iter(batches.take(1).cache().repeat())
    model.make_train_function()

    def run():
        # Reading a result waits for the step.
        return [np.asarray(v) for v in model.train_function(iterator).values()]

    return run


def main(argv):
    del argv
    clock = time.perf_counter if FLAGS.clock == "wall" else time.process_time
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in FLAGS.task or TASKS:
            print(name, flush=True)
            task = TASKS[name](pathlib.Path(folder))
            results[name] = time_task(task, FLAGS.rounds, clock)
    rows = [("task", "dense", "mean FLOPs", "mean", "last FLOPs", "last")]
    for name, result in results.items():
        step = statistics.median(result["seconds_per_step"]["dense"])
        rows.append(
            (
                name,
                f"{step * 1e3:.0f} ms",
                f"{result['mean_flops']:.3f}",
                f"{result['ratios']['mean']:.3f}",
                f"{result['last_flops']:.3f}",
                f"{result['ratios']['last']:.3f}",
            )
        )
    print(table(rows))
    flags_used = {name: FLAGS[name].value for name in ("rounds", "clock")}
    write_json(FLAGS.output, {"flags": flags_used, "tasks": results})
    print(f"written: {FLAGS.output}")


if __name__ == "__main__":
    app.run(main)
