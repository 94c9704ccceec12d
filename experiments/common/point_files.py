"""Where point clouds come from: `.npz`, `.h5` and `.off` files, or formulas."""

import dataclasses
import pathlib
import zlib

import numpy as np

SYNTHETIC = "synthetic"
Y, Z = 1, 2
# Classes and training clouds of ModelNet40, for plans without the data.
MODELNET40 = (40, 9843)


@dataclasses.dataclass(frozen=True)
class Clouds:
    """Point clouds of any length, one behind the other.

    Attributes:
        points: float32 array of shape `(points of all clouds, 3)`.
        offsets: int array; cloud `i` is `points[offsets[i]:offsets[i + 1]]`.
        labels: int32 array, one for every cloud.
    """

    points: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, arrays, labels):
        """Makes `Clouds` of a sequence of arrays of shape `(points, 3)`."""
        sizes = [0, *(len(a) for a in arrays)]
        return cls(
            np.concatenate(
                [np.zeros((0, 3), "float32"), *arrays], dtype="float32"
            ),
            np.cumsum(sizes),
            np.asarray(labels, "int32"),
        )

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.points[self.offsets[index] : self.offsets[index + 1]]

    def chosen(self, places):
        """The clouds at these places, in this order."""
        return Clouds.of([self[i] for i in places], self.labels[places])

    def centred(self, to_unit_sphere=False):
        """Every cloud around its own mean.

        Args:
            to_unit_sphere: bool, whether its farthest point comes to lie at
                distance 1. Otherwise clouds keep their size.
        """
        arrays = []
        for index in range(len(self)):
            array = self[index] - self[index].mean(axis=0)
            if to_unit_sphere:
                largest = np.linalg.norm(array, axis=1).max()
                array = array / max(largest, np.finfo("float32").tiny)
            arrays.append(array)
        return Clouds.of(arrays, self.labels)


@dataclasses.dataclass(frozen=True)
class PointSet:
    """A classification task.

    Attributes:
        name: string.
        classes: tuple of strings.
        train: `Clouds`.
        test: `Clouds`.
        vertical: int, the axis that points up.
    """

    name: str
    classes: tuple
    train: Clouds
    test: Clouds
    vertical: int = Z

    def centred(self, to_unit_sphere=False):
        """The same task with clouds as `Clouds.centred` gives them."""
        return dataclasses.replace(
            self,
            train=self.train.centred(to_unit_sphere),
            test=self.test.centred(to_unit_sphere),
        )


def load_points(path, test_fold=None, left_out=None, surface_points=2048):
    """Reads a task from a file or folder, whichever layout it has.

    - A `.npz` file with `pts`, `off`, `y`, `fold` and, if named, `classes`
      (cloud `i` is `pts[off[i]:off[i + 1]]`), or with `points` of shape
      `(clouds, points, 3)`, `labels` and `fold`.
    - A folder with `train.npz` and `test.npz` of either kind, without folds.
    - A folder with `train_files.txt` and `test_files.txt`, lists of `.h5`
      files with `data` and `label`: ModelNet40 as `modelnet40_ply_hdf5_2048`,
      where y points up.
    - A folder with meshes `<class>/{train,test}/*.off`: ModelNet40 as it was
      first published. Points are drawn on the surface.

    Args:
        path: path of the file or folder; or `"synthetic"`.
        test_fold: int, the fold to test on; the last one if omitted.
        left_out: int, a fold that is neither trained nor tested on, so that
            settings can be chosen without it.
        surface_points: int, points to draw on each mesh.

    Returns:
        A `PointSet`.

    Raises:
        ValueError: If there is no such layout, or the data are not as said.
    """
    if path == SYNTHETIC:
        return synthetic_points()
    path = pathlib.Path(path)
    if path.suffix == ".npz" and path.is_file():
        found = _from_folds(path, test_fold, left_out)
    elif (path / "train_files.txt").is_file():
        found = _from_lists(path)
    elif (path / "train.npz").is_file():
        found = _from_pair(path)
    elif next(path.glob("*/train/*.off"), None) is not None:
        found = _from_meshes(path, surface_points)
    else:
        raise ValueError(
            "Flag `--data` must name a .npz file with folds, or a folder with "
            "train_files.txt and test_files.txt, with train.npz and test.npz, "
            f"or with <class>/train/*.off. Received: {path}"
        )
    for part in (found.train, found.test):
        _check(path, part, len(found.classes))
    return found


def _check(path, clouds, classes):
    problem = None
    if not len(clouds):
        problem = "no clouds in the training or the test part"
    elif not np.isfinite(clouds.points).all():
        problem = "coordinates that are not finite"
    elif np.diff(clouds.offsets).min() < 1:
        problem = f"cloud {np.diff(clouds.offsets).argmin()} without points"
    elif not 0 <= clouds.labels.min() <= clouds.labels.max() < classes:
        problem = f"labels outside of 0 to {classes - 1}"
    if problem:
        raise ValueError(
            "Flag `--data` must name clouds of finite points with labels from "
            f"0 up, for training and testing. Received: {path} with {problem}"
        )


def _read_npz(path):
    """Clouds, folds or `None`, and class names or `None`."""
    with np.load(path) as arrays:
        keys = set(arrays.files)
        if {"pts", "off", "y"} <= keys:
            clouds = Clouds(
                arrays["pts"].astype("float32"),
                arrays["off"].astype("int64"),
                arrays["y"].astype("int32"),
            )
        elif {"points", "labels"} <= keys:
            clouds = Clouds.of(
                arrays["points"][..., :3], arrays["labels"].reshape(-1)
            )
        else:
            raise ValueError(
                "A .npz file of clouds must hold the arrays pts, off and y, or "
                f"points and labels. Received: {path} with {sorted(keys)}"
            )
        fold = arrays["fold"] if "fold" in keys else None
        names = tuple(map(str, arrays["classes"])) if "classes" in keys else ()
    return clouds, fold, names or _numbers(clouds)


def _numbers(*parts):
    labels = np.concatenate([part.labels for part in parts])
    return tuple(map(str, range(labels.max(initial=-1) + 1)))


def _from_folds(path, test_fold, left_out):
    clouds, fold, names = _read_npz(path)
    if fold is None:
        raise ValueError(
            "A single .npz file must hold the array `fold`, of which one is "
            f"tested on. Received: {path} without. Name a folder with "
            "train.npz and test.npz instead"
        )
    folds = set(fold.tolist()) - {left_out}
    test_fold = max(folds) if test_fold is None else test_fold
    if test_fold not in folds or len(folds) < 2:
        raise ValueError(
            "Flag `--test_fold` must be one of at least two folds that are not "
            f"left out. Received: --test_fold={test_fold} of {sorted(folds)}"
        )
    train = (fold != test_fold) & (fold != left_out)
    return PointSet(
        path.stem,
        names,
        clouds.chosen(np.flatnonzero(train)),
        clouds.chosen(np.flatnonzero(fold == test_fold)),
    )


def _from_pair(path):
    train, _, names = _read_npz(path / "train.npz")
    test, _, others = _read_npz(path / "test.npz")
    return PointSet(path.name, max(names, others, key=len), train, test)


def _from_lists(path):
    train, test = (
        _read_h5_files(path / f"{part}_files.txt") for part in ("train", "test")
    )
    names = path / "shape_names.txt"
    classes = _numbers(train, test)
    if names.is_file():
        classes = tuple(names.read_text(encoding="utf-8").split())
    return PointSet(path.name, classes, train, test, vertical=Y)


def _read_h5_files(listing):
    import h5py

    points, labels = [], []
    for line in listing.read_text(encoding="utf-8").split():
        # Published lists name paths from another folder.
        with h5py.File(listing.parent / pathlib.PurePosixPath(line).name) as h5:
            points.extend(h5["data"][..., :3])
            labels.extend(h5["label"][...].reshape(-1))
    return Clouds.of(points, labels)


def _from_meshes(path, surface_points):
    classes = tuple(sorted(p.parent.name for p in path.glob("*/train")))
    parts = {}
    for part in ("train", "test"):
        arrays, labels = [], []
        for label, name in enumerate(classes):
            for file in sorted((path / name / part).glob("*.off")):
                # The same points in every process and for every order.
                key = f"{name}/{part}/{file.name}".encode()
                rng = np.random.default_rng(zlib.crc32(key))
                arrays.append(
                    sample_surface(*read_off(file), surface_points, rng)
                )
                labels.append(label)
        parts[part] = Clouds.of(arrays, labels)
    return PointSet(path.name, classes, **parts)


def read_off(path):
    """Reads a mesh.

    Args:
        path: path of an OFF file. In some files of ModelNet40 the counts
            follow on the line of the magic word, without a space.

    Returns:
        `(vertices, triangles)`, arrays of shape `(n, 3)`. Faces with more
        corners are cut into triangles from their first corner.

    Raises:
        ValueError: If the file is no OFF file, or ends too early.
    """
    text = pathlib.Path(path).read_text(encoding="utf-8")
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    magic, *lines = [line for line in lines if line] or [""]
    if not magic.startswith("OFF"):
        raise ValueError(
            f"An OFF file must begin with `OFF`. Received: {path} with "
            f"{text[:12]!r}"
        )
    rows = [line.split() for line in (magic.removeprefix("OFF"), *lines)]
    try:
        counts, *rows = [row for row in rows if row]
        vertex_count, face_count = map(int, counts[:2])
        vertices = np.array([x[:3] for x in rows[:vertex_count]], float)
        faces = rows[vertex_count : vertex_count + face_count]
        triangles = [corners for face in faces for corners in _triangles(face)]
        triangles = np.array(triangles, int).reshape(-1, 3)
        missing = triangles.max(initial=0) >= len(vertices)
        if missing or len(faces) < face_count:
            raise ValueError(f"{len(vertices)} vertices, {len(faces)} faces")
        return vertices, triangles
    except ValueError as error:
        raise ValueError(
            "An OFF file must hold as many vertices and faces as it says. "
            f"Received: {path}, which does not"
        ) from error


def _triangles(face):
    """Corners of a face, after whose number colours may follow."""
    count, *corners = map(int, face[: 1 + int(face[0])])
    if len(corners) < count:
        raise ValueError(f"{len(corners)} corners")
    pairs = zip(corners[1:-1], corners[2:], strict=True)
    return [(corners[0], *pair) for pair in pairs]


def sample_surface(vertices, triangles, count, rng):
    """Draws points evenly on the surface of a mesh.

    Args:
        vertices: array of shape `(n, 3)`.
        triangles: int array of shape `(m, 3)`.
        count: int, points to draw.
        rng: `np.random.Generator`.

    Returns:
        float32 array of shape `(count, 3)`.

    Raises:
        ValueError: If the mesh has no area.
    """
    first, second, third = np.moveaxis(vertices[triangles], 1, 0)
    sides = second - first, third - first
    areas = np.linalg.norm(np.cross(*sides), axis=-1)
    if not areas.sum() > 0:
        raise ValueError(
            "Argument `triangles` must cover an area. Received: "
            f"{len(areas)} triangles of area {areas.sum()} in all"
        )
    chosen = rng.choice(len(areas), size=count, p=areas / areas.sum())
    # A point of the parallelogram, folded back into its first half.
    steps = rng.uniform(size=(2, count))
    steps = np.where(steps.sum(axis=0) > 1, 1 - steps, steps)
    points = first[chosen]
    for side, step in zip(sides, steps, strict=True):
        points = points + side[chosen] * step[:, None]
    return points.astype("float32")


def synthetic_points(train=96, test=48, points=200, seed=0):
    """Balls, boxes, rods and discs of random proportions.

    Args:
        train: int, training clouds.
        test: int, test clouds.
        points: int, the most points of a cloud; others have fewer.
        seed: int.

    Returns:
        A `PointSet`.
    """
    rng = np.random.default_rng(seed)
    classes = ("ball", "box", "rod", "disc")

    def part(count):
        labels = np.arange(count) % len(classes)
        sizes = rng.integers(points // 2, points + 1, count)
        arrays = [
            _shape(classes[label], size, rng)
            for label, size in zip(labels, sizes, strict=True)
        ]
        return Clouds.of(arrays, labels)

    return PointSet(SYNTHETIC, classes, part(train), part(test))


def _shape(name, count, rng):
    normal = rng.normal(size=(count, 3))
    ball = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    box = rng.uniform(-1, 1, size=(count, 3))
    faces = np.arange(count), rng.integers(0, 3, count)
    box[faces] = np.sign(box[faces])
    factors = {"rod": (0.15, 0.15, 1.5), "disc": (1.2, 1.2, 0.1)}
    solid = box if name == "box" else ball
    stretch = np.array(factors.get(name, (1, 1, 1)))
    return solid * stretch * rng.uniform(0.8, 1.25, size=3)
