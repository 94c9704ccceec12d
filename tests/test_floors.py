"""The architecture, checked on the source: floors, imports, sizes, printing."""

import ast
import graphlib
import pathlib
import statistics
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "keras_chex"

FLOORS = {
    "algorithms": 0,
    "graph": 1,
    "layers": 2,
    "analysis": 2,
    "surgery": 3,
    "export": 3,
    "callbacks": 3,
    "compression": 4,
    "report": 4,
    "cli": 5,
}
# What a module may import as it is loaded; the rest is for function bodies.
LOADED = {"absl", "keras", "keras_chex", "numpy", "scipy"}
LOADED_BY_ALGORITHMS = {"keras_chex", "numpy", "scipy"}
KERAS_INTERNALS = {
    PACKAGE / "graph" / name
    for name in ("keras_nodes.py", "keras_random.py", "keras_swap.py")
}

MAX_LINES = 400
MAX_MEDIAN_LINES = 180
MAX_FUNCTION_LINES = 70
NAMELESS = {"utils.py", "util.py", "common.py", "helpers.py", "misc.py"}

SOURCES = sorted(PACKAGE.rglob("*.py"))
PROGRAMS = sorted(
    path
    for folder in ("experiments", "benchmarks", "tests")
    for path in (ROOT / folder).rglob("*.py")
)


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def place(path, node):
    return f"{path.relative_to(ROOT)}:{node.lineno}"


def room_of(path):
    """Name of the folder of keras_chex that `path` lies in."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else None


def module_of(path, node):
    """Full name of the module that an import statement names."""
    if not node.level:
        return node.module
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([*parts[: -node.level], *filter(None, [node.module])])


def imports(path, tree):
    """Yields `(full name, node)` for everything imported anywhere in a file.

    `from a.b import c` counts as `a.b.c`.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield f"{module_of(path, node)}.{alias.name}", node


def loaded_imports(path, tree):
    """Those of `imports` that run when the module is loaded."""
    inside = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(outer)
    }
    for name, node in imports(path, tree):
        if id(node) not in inside:
            yield name, node


def test_every_folder_has_a_floor():
    rooms = {room_of(path) for path in SOURCES} - {None}
    unknown = rooms - FLOORS.keys()
    assert not unknown, f"Give {unknown} a floor in FLOORS, or move the files"


def test_imports_point_down():
    offenders = []
    for path in SOURCES:
        room = room_of(path)
        for name, node in imports(path, tree_of(path)):
            target = name.split(".")[1:2]
            if room is None or not name.startswith("keras_chex."):
                continue
            if target[0] in FLOORS and FLOORS[target[0]] > FLOORS[room]:
                offenders.append(f"{place(path, node)} imports {name}")
    assert not offenders, (
        "Lower floors may not know higher ones; hand the value in as an "
        "argument, or move the code:\n" + "\n".join(offenders)
    )


def test_folders_do_not_import_each_other_in_a_circle():
    edges = {room: set() for room in FLOORS}
    for path in SOURCES:
        for name, _ in imports(path, tree_of(path)):
            parts = [*name.split("."), ""]
            room = room_of(path)
            if room and parts[0] == "keras_chex":
                edges[room] |= FLOORS.keys() & {*parts[1:2]} - {room}
    order = list(graphlib.TopologicalSorter(edges).static_order())
    assert set(order) == set(FLOORS)


def test_package_loads_only_light_libraries():
    offenders = []
    for path in SOURCES:
        allowed = LOADED
        if room_of(path) == "algorithms":
            allowed = LOADED_BY_ALGORITHMS
        for name, node in loaded_imports(path, tree_of(path)):
            library = name.split(".")[0]
            if library in allowed or library in sys.stdlib_module_names:
                continue
            offenders.append(f"{place(path, node)} imports {name}")
    assert not offenders, (
        "Import these inside the function that needs them:\n"
        + "\n".join(offenders)
    )


def test_algorithms_know_no_keras():
    offenders = [
        f"{place(path, node)} imports {name}"
        for path in sorted((PACKAGE / "algorithms").rglob("*.py"))
        for name, node in imports(path, tree_of(path))
        if name.split(".")[0] in {"keras", "tensorflow"}
    ]
    assert not offenders, "Arrays in, arrays out:\n" + "\n".join(offenders)


def test_two_files_touch_the_internals_of_keras():
    offenders = []
    for path in [*SOURCES, *PROGRAMS]:
        if path in KERAS_INTERNALS:
            continue
        tree = tree_of(path)
        for name, node in imports(path, tree):
            if f"{name}.".startswith("keras.src."):
                offenders.append(f"{place(path, node)} imports {name}")
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and is_keras_src(node):
                offenders.append(f"{place(path, node)} uses keras.src")
    assert not offenders, (
        "Put what needs keras.src into graph/keras_*.py:\n"
        + "\n".join(offenders)
    )


def is_keras_src(node):
    return (
        node.attr == "src"
        and isinstance(node.value, ast.Name)
        and node.value.id == "keras"
    )


def test_names_of_keras_are_written_in_full():
    offenders = [
        f"{place(path, node)} imports {name}"
        for path in SOURCES
        for name, node in imports(path, tree_of(path))
        if name.startswith("keras.")
        and path not in KERAS_INTERNALS
        and isinstance(node, ast.ImportFrom)
        and name.count(".") > 1
    ]
    assert not offenders, (
        "Write keras.layers.X, so that a reader sees whose X it is:\n"
        + "\n".join(offenders)
    )


def test_package_does_not_import_its_programs_or_tests():
    offenders = [
        f"{place(path, node)} imports {name}"
        for path in SOURCES
        for name, node in imports(path, tree_of(path))
        if name.split(".")[0] in {"experiments", "benchmarks", "tests"}
    ]
    assert not offenders, "\n".join(offenders)


def test_package_does_not_print():
    offenders = [
        place(path, node)
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not offenders, (
        "Return the text, and let callers decide to print:\n"
        + "\n".join(offenders)
    )


def test_exceptions_that_are_built_are_raised():
    offenders = [
        place(path, node)
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id.endswith("Error")
    ]
    assert not offenders, "raise is missing at\n" + "\n".join(offenders)


@pytest.mark.parametrize("tree", ["keras_chex", "experiments", "benchmarks"])
def test_files_are_short(tree):
    lengths = {
        path: len(path.read_text(encoding="utf-8").splitlines())
        for path in sorted((ROOT / tree).rglob("*.py"))
    }
    offenders = [
        f"{path.relative_to(ROOT)}: {length} lines"
        for path, length in lengths.items()
        if length > MAX_LINES
    ]
    assert not offenders, "Split what does two jobs:\n" + "\n".join(offenders)
    assert statistics.median(lengths.values()) <= MAX_MEDIAN_LINES


def functions(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def code_lines(function):
    """Lines of a function without its docstring."""
    length = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function):
        length -= first.end_lineno - first.lineno + 1
    return length


def test_functions_are_read_in_one_screen():
    offenders = [
        f"{place(path, function)} {function.name}: {code_lines(function)}"
        for path in [*SOURCES, *PROGRAMS]
        for function in functions(tree_of(path))
        if code_lines(function) > MAX_FUNCTION_LINES
    ]
    assert not offenders, "Split these functions:\n" + "\n".join(offenders)


def test_files_are_named_after_what_is_in_them():
    offenders = [
        str(path.relative_to(ROOT)) for path in SOURCES if path.name in NAMELESS
    ]
    assert not offenders, "Rename " + ", ".join(offenders)


def test_modules_say_what_they_decide():
    offenders = [
        str(path.relative_to(ROOT))
        for path in [*SOURCES, *PROGRAMS]
        if not path.name.startswith(("__init__", "test_"))
        and not ast.get_docstring(tree_of(path))
    ]
    assert not offenders, "No module docstring in " + ", ".join(offenders)


def test_public_functions_and_classes_are_documented():
    offenders = [
        f"{place(path, node)} {node.name}"
        for path in SOURCES
        for node in tree_of(path).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
        and not is_registered_rule(node)
    ]
    assert not offenders, "No docstring:\n" + "\n".join(offenders)


def is_registered_rule(node):
    """Whether `@register_rule(Layer)` above a class says it all."""
    return any(
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Name)
        and decorator.func.id == "register_rule"
        for decorator in node.decorator_list
    )
