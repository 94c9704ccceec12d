"""Average precision as COCO defines it, by pycocotools."""

import contextlib
import io

import numpy as np

NAMES = (
    "AP",
    "AP50",
    "AP75",
    "AP_small",
    "AP_medium",
    "AP_large",
    "AR1",
    "AR10",
    "AR100",
    "AR_small",
    "AR_medium",
    "AR_large",
)


def average_precision(part, results, kind="bbox"):
    """Scores detections against the annotations of a part.

    Args:
        part: `CocoPart`; all of its pictures count, those without detections
            too.
        results: list of dicts as `box_results` and `mask_results` make them.
        kind: `"bbox"` or `"segm"`.

    Returns:
        Dict from the names of `NAMES` to floats from 0 to 1. -1 stands for
        sizes of which there is no object at all, as in pycocotools.

    Raises:
        ValueError: If `kind` is unknown.
    """
    if kind not in ("bbox", "segm"):
        raise ValueError(
            f"Argument `kind` must be 'bbox' or 'segm'. Received: kind={kind!r}"
        )
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(part.coco, _loaded(part.coco, results), kind)
        evaluation.params.imgIds = list(part.image_ids)
        evaluation.params.catIds = list(part.category_ids)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(NAMES, map(float, evaluation.stats), strict=True))


def _loaded(coco, results):
    """As `coco.loadRes`, which takes no empty list and changes its argument."""
    from pycocotools.coco import COCO

    if results:
        return coco.loadRes([dict(result) for result in results])
    nothing = COCO()
    nothing.dataset = {**coco.dataset, "annotations": []}
    nothing.createIndex()
    return nothing


def box_results(part, index, boxes, labels, scores):
    """Detections of one picture in COCO's format.

    Args:
        part: `CocoPart`.
        index: int, place of the picture in the part.
        boxes: float array of shape `(detections, 4)`, "xyxy" in pixels of the
            picture.
        labels: int array, places in `part.classes`.
        scores: float array.

    Returns:
        List of dicts with the keys `image_id`, `category_id`, `bbox` and
        `score`; they can be written as JSON.
    """
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    corners = np.concatenate(
        [boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1
    )
    return [
        {
            "image_id": int(part.image_ids[index]),
            "category_id": int(part.category_ids[label]),
            "bbox": [round(x, 3) for x in corner.tolist()],
            "score": round(float(score), 6),
        }
        for corner, label, score in zip(corners, labels, scores, strict=True)
    ]


def mask_results(part, index, boxes, labels, scores, masks):
    """As `box_results`, with `segmentation` in run lengths.

    Args:
        part: as for `box_results`, like the arguments up to `scores`.
        index: likewise.
        boxes: likewise.
        labels: likewise.
        scores: likewise.
        masks: bool array of shape `(detections, height, width)`, in pixels of
            the picture.

    Returns:
        List of dicts; they can be written as JSON.
    """
    from pycocotools import mask as run_lengths

    results = box_results(part, index, boxes, labels, scores)
    for result, mask in zip(results, masks, strict=True):
        encoded = run_lengths.encode(np.asfortranarray(mask, dtype="uint8"))
        encoded["counts"] = encoded["counts"].decode("ascii")
        result["segmentation"] = encoded
    return results
