"""Files of a trained Mask R-CNN: all of it as a SavedModel, its parts for
LiteRT."""

import keras

import keras_chex

from .measure import TFLITE
from .run_directory import replacing

HEADS = ("box_head.tflite", "mask_head.tflite")


def parts(model):
    """The parts between which boxes are chosen and cut out.

    LiteRT lacks what chooses and cuts (`tf.image.crop_and_resize` and the
    suppression of boxes class by class); it computes the parts.

    Args:
        model: a plain `MaskRCNN`, or what `strip` made of a wrapped one.

    Returns:
        Three functional models with the weights of `model`: from pictures to
        features and what the region proposal network says; from features of
        regions to classes and deltas; from features of regions to masks.
    """
    outputs = model.output
    box_roi, mask_roi = map(model.get_layer, ("box_roi", "mask_roi"))
    _, *levels = keras.tree.flatten(box_roi.input)
    masks, _ = keras.tree.flatten(model.get_layer("mask_of_label").input)
    return (
        keras.Model(
            model.input,
            [*levels, outputs["rpn_logits"], outputs["rpn_deltas"]],
            name="backbone",
        ),
        keras.Model(
            box_roi.output,
            [outputs["class_logits"], outputs["box_deltas"]],
            name="box_head",
        ),
        keras.Model(mask_roi.output, masks, name="mask_head"),
    )


def export(model, examples, directory):
    """Writes a plain model in all formats.

    Leaves `model.keras` and `saved_model/` of all of it, and of its parts
    `model.tflite` (backbone, feature pyramid, region proposals),
    `box_head.tflite` and `mask_head.tflite`.

    Args:
        model: as for `parts`.
        examples: float array of pictures, on which files are verified.
        directory: `pathlib.Path`.

    Returns:
        Dict of `flops` (multiply-adds of one picture), `params` and
        `tflite_bytes`, of all three files.
    """
    with replacing(directory / "model.keras") as beside:
        model.save(beside)
    keras_chex.export_saved_model(
        model, directory / "saved_model", representative_data=examples
    )
    regions = keras.Model(
        model.input,
        [model.get_layer(name).output for name in ("box_roi", "mask_roi")],
    )
    inputs = examples, *regions.predict_on_batch(examples)
    files = [directory / name for name in (TFLITE, *HEADS)]
    for part, file, data in zip(parts(model), files, inputs, strict=True):
        keras_chex.export_tflite(part, file, representative_data=data)
    return {
        "flops": int(keras_chex.flops(model)),
        "params": int(model.count_params()),
        "tflite_bytes": sum(file.stat().st_size for file in files),
    }
