"""Predicted objects of all test pictures, and their average precision."""

import numpy as np

from .coco_scores import average_precision, mask_results
from .mask_paste import paste_masks


def detections(model, batches):
    """What a network sees in the test pictures.

    Args:
        model: a `MaskRCNN`, wrapped or plain, or one that `strip` returned.
        batches: `MaskBatches`.

    Returns:
        `(results, raw)`: a list of dicts in COCO's format, with boxes and
        masks; and a dict of arrays, the outputs of the first batch.
    """
    results, first = [], None
    count, step = len(batches.task.test), batches.batch_size
    for start in range(0, count, step):
        indices = range(start, min(start + step, count))
        outputs = model.predict_on_batch(batches.pictures(indices))
        first = first or outputs
        for place, index in enumerate(indices):
            seen = {name: values[place] for name, values in outputs.items()}
            results += picture_results(seen, batches, index)
    return results, first


def picture_results(outputs, batches, index):
    """What a network sees in one test picture, in COCO's format.

    Args:
        outputs: dict of arrays, those of one picture.
        batches: `MaskBatches`.
        index: int, place of the picture in the test part.

    Returns:
        List of dicts.
    """
    part = batches.task.test
    seen = outputs["scores"] > 0
    boxes = batches.placement(index).boxes_back(outputs["boxes"][seen])
    shares = 1 / (1 + np.exp(-outputs["mask_logits"][seen]))
    return mask_results(
        part,
        index,
        boxes,
        outputs["labels"][seen],
        outputs["scores"][seen],
        paste_masks(shares, boxes, part.size(index)),
    )


def scores(part, results):
    """Average precision of boxes and masks.

    Args:
        part: `CocoPart`.
        results: list of dicts as from `detections`.

    Returns:
        Dict of `box_AP`, `box_AP50`, `mask_AP`, `mask_AP50`, from 0 to 1.
    """
    found = {}
    for name, kind in (("box", "bbox"), ("mask", "segm")):
        precision = average_precision(part, results, kind)
        found[f"{name}_AP"] = precision["AP"]
        found[f"{name}_AP50"] = precision["AP50"]
    return found


def largest_gap(outputs, others):
    """Largest difference of any output, as a share of its largest value."""
    gaps = [
        np.abs(values - others[name]).max() / max(np.abs(values).max(), 1e-12)
        for name, values in outputs.items()
    ]
    return float(max(gaps))
