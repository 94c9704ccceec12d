"""Reading the memory of a process, and measuring in others."""

import sys

import numpy as np
import pytest

from benchmarks.memory import forget_peak, measure_apart, peak, resident

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="reads /proc"
)


def test_resident_memory_follows_what_is_allocated():
    before = resident()
    array = np.ones(2**23)  # 64 MiB
    assert 50 < resident() - before < 80
    del array
    assert resident() - before < 30


def test_peak_remembers_what_was_given_back():
    forget_peak()
    before = peak()
    array = np.ones(2**23)
    del array
    assert peak() - before > 50
    forget_peak()
    assert peak() - before < 30


def test_variants_run_in_processes_of_their_own(tmp_path, monkeypatch):
    (tmp_path / "fake.py").write_text(
        "import json, os, sys\n"
        "print('something else')\n"
        "print(json.dumps({'flag': sys.argv[1], 'pid': os.getpid()}))\n"
    )
    monkeypatch.chdir(tmp_path)
    found = measure_apart("fake", ["one", "two"], [], processes=2)
    assert found["one"]["flag"] == "--variant=one"
    assert found["one"]["pid"] != found["two"]["pid"]


def test_a_variant_that_fails_is_named(tmp_path, monkeypatch):
    (tmp_path / "fake.py").write_text("raise SystemExit('no luck')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError, match="one: no luck"):
        measure_apart("fake", ["one"], [])
