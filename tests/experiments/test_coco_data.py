"""Pictures, boxes and masks from COCO's layout, and what is wrong with some."""

import json

import numpy as np
import pytest

from experiments.common import coco_data
from experiments.common.coco_shapes import CLASSES, draw_picture, write_shapes

pytest.importorskip("pycocotools")
SIZE = (60, 80)


@pytest.fixture
def folder(tmp_path):
    return write_shapes(
        tmp_path / "shapes", (("train2017", 5), ("val2017", 3)), SIZE
    )


def change(folder, edit, part="train2017"):
    path = folder / "annotations" / f"instances_{part}.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def bounds(masks):
    """Boxes around masks."""
    boxes = []
    for mask in masks:
        rows, columns = (np.flatnonzero(mask.any(axis=a)) for a in (1, 0))
        boxes.append(
            [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1],
        )
    return np.array(boxes)


def test_parts_are_found_as_coco_names_them(folder):
    task = coco_data.load_coco(folder)
    assert (task.name, task.classes) == ("shapes", CLASSES)
    assert (len(task.train), len(task.test)) == (5, 3)
    assert task.test.folder.name == "val2017"
    assert task.train.image_ids == (1, 2, 3, 4, 5)
    assert task.train.size(0) == SIZE


def test_test_part_comes_before_validation(folder):
    write_shapes(folder, (("test", 2),), SIZE)
    assert len(coco_data.load_coco(folder).test) == 2
    assert len(coco_data.load_coco(folder, test_part="val").test) == 3


def test_pictures_and_boxes_are_those_drawn(folder):
    part = coco_data.load_coco(folder).train
    rng = np.random.default_rng([0, 0])
    for index in range(len(part)):
        pixels, shapes = draw_picture(SIZE, rng)
        np.testing.assert_array_equal(part.image(index), pixels)
        objects = part.objects(index)
        assert len(objects) == len(shapes)
        corners = np.array([shape["bbox"] for shape in shapes], "float32")
        np.testing.assert_array_equal(objects.boxes[:, :2], corners[:, :2])
        np.testing.assert_array_equal(
            objects.boxes[:, 2:], corners[:, :2] + corners[:, 2:]
        )
        assert objects.boxes.dtype == np.float32
        labels = [shape["category_id"] - 1 for shape in shapes]
        assert objects.labels.tolist() == labels


def test_polygons_and_run_lengths_become_masks_within_their_boxes(folder):
    part = coco_data.load_coco(folder).train
    seen = set()
    for index in range(len(part)):
        objects, masks = part.objects(index), part.masks(index)
        assert masks.shape == (len(objects), *SIZE)
        assert np.abs(bounds(masks) - objects.boxes).max() <= 1
        found = part.coco.loadAnns(objects.annotation_ids.tolist())
        areas = [annotation["area"] for annotation in found]
        assert masks.sum(axis=(1, 2)).tolist() == areas
        seen |= set(objects.labels.tolist())
    assert seen == {0, 1}


def test_crowds_and_empty_boxes_are_no_objects(folder):
    def edit(content):
        content["annotations"][0]["iscrowd"] = 1
        for annotation in content["annotations"][1:]:
            annotation["bbox"][2] = 0

    change(folder, edit)
    part = coco_data.read_part(
        folder / "annotations" / "instances_train2017.json",
        folder / "train2017",
    )
    assert [len(part.objects(index)) for index in range(5)] == [0] * 5
    assert part.objects(0).boxes.shape == (0, 4)
    assert part.masks(0).shape == (0, *SIZE)
    assert len(part) == 5
    with pytest.raises(ValueError, match="and the training part objects"):
        coco_data.load_coco(folder)


def test_boxes_are_cut_at_the_edges_of_their_picture(folder):
    def edit(content):
        content["annotations"][0]["bbox"] = [-3, 50, 10, 30]

    change(folder, edit)
    boxes = coco_data.load_coco(folder).train.objects(0).boxes
    assert boxes[0].tolist() == [0, 50, 7, 60]


def test_sparse_category_numbers_become_labels(folder):
    def edit(content):
        for category in content["categories"]:
            category["id"] *= 40
        for annotation in content["annotations"]:
            annotation["category_id"] *= 40

    before = coco_data.load_coco(folder).train
    change(folder, edit)
    change(folder, edit, "val2017")
    after = coco_data.load_coco(folder).train
    assert after.category_ids == (40, 80)
    for index in range(len(after)):
        np.testing.assert_array_equal(
            after.objects(index).labels, before.objects(index).labels
        )


def test_pictures_without_objects_are_not_trained_on(folder):
    def edit(content):
        content["annotations"] = [
            a for a in content["annotations"] if a["image_id"] != 2
        ]

    change(folder, edit)
    change(folder, edit, "val2017")
    task = coco_data.load_coco(folder)
    assert task.train.image_ids == (1, 3, 4, 5)
    assert task.test.image_ids == (1, 2, 3)
    assert task.train.first(2).image_ids == (1, 3)


@pytest.mark.parametrize(
    "edit, match",
    [
        (lambda c: c["annotations"][0].update(image_id=99), "annotation 1:"),
        (lambda c: c["annotations"][1].update(category_id=9), "annotation 2"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2]), "annotation 1:"),
        (lambda c: c["images"][0].update(file_name="x.png"), "no picture .*x"),
        (lambda c: c.pop("categories"), "the entries images, annotations and"),
        (lambda c: c["categories"].pop(), "annotation [0-9]+: "),
        (
            lambda c: c["categories"][0].update(name="square"),
            "the same categories.*square",
        ),
    ],
)
def test_wrong_annotations_are_refused(edit, match, folder):
    change(folder, edit)
    with pytest.raises(ValueError, match=match):
        coco_data.load_coco(folder)


def test_folders_without_annotations_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="instances_train.*none at all"):
        coco_data.load_coco(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"instances_dev\*.json. Received"):
        coco_data.load_coco(folder, test_part="dev")
    write_shapes(folder, (("val2014", 1),), SIZE)
    with pytest.raises(ValueError, match="val2014.*val2017"):
        coco_data.load_coco(folder)


def test_files_that_are_no_annotations_are_refused(tmp_path):
    path = tmp_path / "instances.json"
    for text in ("{", "[]"):
        path.write_text(text)
        with pytest.raises(ValueError, match="must be JSON in COCO's format"):
            coco_data.read_annotations(path)


def test_pictures_of_another_size_are_refused(folder):
    change(folder, lambda c: c["images"][0].update(height=61))
    part = coco_data.load_coco(folder).train
    with pytest.raises(ValueError, match=r"of \(60, 80\) instead of \(61, 80"):
        part.image(0)


def test_masks_need_a_segmentation(folder):
    change(folder, lambda c: c["annotations"][0].pop("segmentation"))
    part = coco_data.load_coco(folder).train
    with pytest.raises(ValueError, match="annotation 1 of .* without one"):
        part.masks(0)


def test_missing_pycocotools_is_named(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pycocotools.coco", None)
    with pytest.raises(ImportError, match=r"keras_chex\[coco\]"):
        coco_data.load_coco(folder)
