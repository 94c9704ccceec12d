"""Clouds from files of every layout, and what is wrong with some."""

import h5py
import numpy as np
import pytest

from experiments.common import point_files
from experiments.common.point_files import Clouds, load_points

SIZES = (3, 5, 2, 4)
CUBE = """OFF
# a cube of six squares
8 6 0
0 0 0
2 0 0
2 2 0
0 2 0
0 0 2
2 0 2
2 2 2
0 2 2
4 0 3 2 1
4 4 5 6 7 255 0 0
4 0 1 5 4
4 1 2 6 5
4 2 3 7 6
4 3 0 4 7
"""


def packed(**changes):
    points = np.arange(3 * sum(SIZES), dtype="float32").reshape(-1, 3)
    arrays = {
        "pts": points,
        "off": np.cumsum([0, *SIZES]),
        "y": np.array([0, 1, 1, 0]),
        "fold": np.array([0, 0, 1, 2]),
        "classes": np.array(["tree", "car"]),
    }
    return {k: v for k, v in {**arrays, **changes}.items() if v is not None}


def save(path, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def test_packed_file_is_split_by_its_folds(tmp_path):
    task = load_points(save(tmp_path / "objects.npz", **packed()))
    assert task.name == "objects"
    assert task.classes == ("tree", "car")
    assert task.vertical == point_files.Z
    assert [len(task.train[i]) for i in range(3)] == [3, 5, 2]
    np.testing.assert_array_equal(task.train.labels, [0, 1, 1])
    np.testing.assert_array_equal(task.test[0], packed()["pts"][-4:])


def test_a_fold_can_be_left_out(tmp_path):
    path = save(tmp_path / "objects.npz", **packed())
    task = load_points(path, left_out=2)
    assert (len(task.train), len(task.test)) == (2, 1)
    assert [len(task.test[0])] == [2]
    task = load_points(path, test_fold=0)
    assert (len(task.train), len(task.test)) == (2, 2)


def test_arrays_of_equal_clouds_are_read(tmp_path):
    points = np.random.default_rng(0).normal(size=(4, 6, 4))
    labels = np.array([[0], [1], [2], [1]])
    fold = np.array([0, 0, 0, 1])
    path = save(tmp_path / "x.npz", points=points, labels=labels, fold=fold)
    task = load_points(path)
    assert task.classes == ("0", "1", "2")
    np.testing.assert_allclose(task.test[0], points[3, :, :3], rtol=1e-6)


def test_folder_of_two_files_is_read(tmp_path):
    save(tmp_path / "set/train.npz", **packed(fold=None))
    save(tmp_path / "set/test.npz", **packed(fold=None, classes=None))
    task = load_points(tmp_path / "set")
    assert (task.name, task.classes) == ("set", ("tree", "car"))
    assert (len(task.train), len(task.test)) == (4, 4)


def test_published_lists_of_h5_files_are_read(tmp_path):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(5, 7, 3)).astype("float32")
    labels = np.array([[0], [1], [2], [1], [0]], "uint8")
    parts = {"train0": [0, 1], "train1": [2, 3], "test0": [4]}
    for name, places in parts.items():
        with h5py.File(tmp_path / f"ply_data_{name}.h5", "w") as file:
            file["data"], file["label"] = data[places], labels[places]
    for part in ("train", "test"):
        lines = [
            f"data/modelnet40_ply_hdf5_2048/ply_data_{name}.h5"
            for name in parts
            if name.startswith(part)
        ]
        (tmp_path / f"{part}_files.txt").write_text("\n".join(lines) + "\n")
    task = load_points(tmp_path)
    assert task.classes == ("0", "1", "2")
    assert task.vertical == point_files.Y
    np.testing.assert_array_equal(task.train.labels, [0, 1, 2, 1])
    np.testing.assert_array_equal(task.train[2], data[2])
    np.testing.assert_array_equal(task.test[0], data[4])
    (tmp_path / "shape_names.txt").write_text("plane\nbath\nbed\n")
    assert load_points(tmp_path).classes == ("plane", "bath", "bed")


def test_folders_of_meshes_are_sampled_the_same_every_time(tmp_path):
    for name in ("bed", "sofa"):
        for part in ("train", "test"):
            file = tmp_path / name / part / f"{name}_0001.off"
            file.parent.mkdir(parents=True)
            file.write_text(CUBE)
    task = load_points(tmp_path, surface_points=50)
    again = load_points(tmp_path, surface_points=50)
    assert task.classes == ("bed", "sofa")
    np.testing.assert_array_equal(task.train.labels, [0, 1])
    np.testing.assert_array_equal(task.train.points, again.train.points)
    assert task.train[0].shape == (50, 3)
    assert (task.train[0] != task.train[1]).any()


def test_faces_become_triangles(tmp_path):
    path = tmp_path / "cube.off"
    path.write_text(CUBE)
    vertices, triangles = point_files.read_off(path)
    assert vertices.shape == (8, 3)
    assert triangles.shape == (12, 3)
    np.testing.assert_array_equal(triangles[:2], [[0, 3, 2], [0, 2, 1]])
    # As in some files of ModelNet40.
    path.write_text(CUBE.replace("OFF\n# a cube of six squares\n", "OFF"))
    np.testing.assert_array_equal(point_files.read_off(path)[0], vertices)


def test_points_lie_evenly_on_the_surface(tmp_path):
    path = tmp_path / "cube.off"
    path.write_text(CUBE)
    rng = np.random.default_rng(0)
    points = point_files.sample_surface(*point_files.read_off(path), 6000, rng)
    on_side = np.isclose(points[:, :, None], [0.0, 2.0], atol=1e-6)
    assert on_side.any(axis=(1, 2)).all()
    np.testing.assert_allclose(on_side.sum(axis=0), 1000, rtol=0.15)
    np.testing.assert_allclose(points.mean(axis=0), 1.0, atol=0.05)


@pytest.mark.parametrize(
    "text, match",
    [
        ("PLY\n1 2", "must begin with `OFF`. Received: .*'PLY"),
        ("", "must begin with `OFF`"),
        (CUBE[:60], "as many vertices and faces as it says"),
        (CUBE.replace("4 3 0 4 7\n", "4 3 0\n"), "as many vertices and faces"),
        (CUBE.replace("4 3 0 4 7\n", ""), "as many vertices and faces"),
        (CUBE.replace("8 6 0", "8 six 0"), "as many vertices and faces"),
        (CUBE.replace("3 0 4 7", "3 0 4 8"), "as many vertices and faces"),
    ],
)
def test_broken_meshes_are_refused(text, match, tmp_path):
    path = tmp_path / "broken.off"
    path.write_text(text)
    with pytest.raises(ValueError, match=match):
        point_files.read_off(path)


def test_a_mesh_without_area_has_no_points():
    rng = np.random.default_rng(0)
    line = np.array([[0.0, 0, 0], [1.0, 0, 0], [2.0, 0, 0]])
    for triangles in (np.zeros((0, 3), int), np.array([[0, 1, 2]])):
        with pytest.raises(ValueError, match="must cover an area. Received"):
            point_files.sample_surface(line, triangles, 5, rng)


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"fold": None}, "must hold the array `fold`"),
        ({"fold": np.zeros(4, int)}, "one of at least two folds"),
        ({"y": None}, r"pts, off and y, or points and labels. Received: .*off"),
        ({"y": np.array([0, 1, 2, 0])}, "with labels outside of 0 to 1"),
        ({"pts": np.full((14, 3), np.nan)}, "coordinates that are not finite"),
        ({"off": np.array([0, 3, 8, 8, 14])}, "with cloud 2 without points"),
    ],
)
def test_wrong_arrays_are_refused(changes, match, tmp_path):
    path = save(tmp_path / "objects.npz", **packed(**changes))
    with pytest.raises(ValueError, match=match):
        load_points(path)


def test_unknown_folds_and_folders_are_refused(tmp_path):
    path = save(tmp_path / "objects.npz", **packed())
    for choice in ({"test_fold": 7}, {"test_fold": 1, "left_out": 1}):
        with pytest.raises(ValueError, match="Flag `--test_fold` must be one"):
            load_points(path, **choice)
    with pytest.raises(ValueError, match="Flag `--data` must name a .npz file"):
        load_points(tmp_path)


def test_clouds_are_centred_with_or_without_their_size():
    rng = np.random.default_rng(0)
    arrays = [rng.normal(5, 3, size=(n, 3)) for n in (4, 9)]
    arrays.append(np.ones((3, 3)))
    clouds = Clouds.of(arrays, [0, 1, 0])
    kept, unit = clouds.centred(), clouds.centred(to_unit_sphere=True)
    for index in range(2):
        np.testing.assert_allclose(kept[index].mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(
            np.ptp(kept[index], axis=0),
            np.ptp(arrays[index], axis=0),
            rtol=1e-5,
        )
        reach = np.linalg.norm(unit[index], axis=1).max()
        assert reach == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(unit[2], 0)


def test_synthetic_clouds_have_four_shapes():
    task = load_points(point_files.SYNTHETIC)
    assert task.classes == ("ball", "box", "rod", "disc")
    assert set(task.train.labels) == set(task.test.labels) == {0, 1, 2, 3}
    heights = np.array([np.ptp(task.train[i][:, 2]) for i in range(96)])
    rods, discs = heights[2::4], heights[3::4]
    assert discs.max() < 0.5 < 2 < rods.min()
