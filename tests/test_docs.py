"""Examples in docstrings and in Markdown files run; what they name exists."""

import doctest
import importlib
import pathlib
import re

import keras
import numpy as np
import pytest

import keras_chex

ROOT = pathlib.Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
# Before a block that is not run here; it has to say why.
NOT_RUN = re.compile(r"<!-- not run: \S.* -->\s*$")
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.M | re.S)
# Two programs that define the same flags cannot be loaded together.
PROGRAMS = ("__main__.py", "render.py")


def module_names():
    for folder in ("keras_chex", "experiments/common", "experiments/compare"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.name in PROGRAMS:
                continue
            parts = path.relative_to(ROOT).with_suffix("").parts
            if parts[-1] == "__init__":
                parts = parts[:-1]
            yield ".".join(parts)


def relative(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("name", list(module_names()))
def test_examples_of_docstrings_run(name):
    if name.startswith("experiments.compare.torch_"):
        pytest.importorskip("torch")
    failed, _ = doctest.testmod(
        importlib.import_module(name),
        extraglobs={"keras": keras, "keras_chex": keras_chex, "np": np},
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS,
    )
    assert failed == 0


def blocks(page, *languages):
    """Yields the fenced blocks of a page in one of the languages."""
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        if match.group(1) in languages:
            yield text[: match.start()], match.group(2)


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_python_blocks_run_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for before, source in blocks(page, "python"):
        if NOT_RUN.search(before):
            continue
        # Tracebacks and `inspect` show the line of the page.
        line = before.count("\n") + 1
        code = compile("\n" * line + source, str(page), "exec")
        exec(code, names)
    assert names["__name__"] == "__main__"


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_commands_name_what_exists(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    for _, source in blocks(page, "bash", "sh", "shell", "console", ""):
        for target in re.findall(r"^(?:\$ )?make ([a-z-]+)", source, re.M):
            assert target in targets, f"no target {target!r} in the Makefile"
        for script in re.findall(r"\bpython3? (\S+\.py)", source):
            assert (ROOT / script).is_file(), f"no file {script!r}"
        for module in re.findall(r"\bpython3? -m (benchmarks\S+)", source):
            path = ROOT / (module.replace(".", "/") + ".py")
            assert path.is_file(), f"no module {module!r}"


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_into_the_repository_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing, f"{relative(page)} links to missing {missing}"
