"""The program that checks real models: its models, its checks, its records."""

import copy
import json

import keras
import numpy as np
import pytest

from benchmarks import models
from benchmarks.model_checks import check_model, compare_changes
from benchmarks.model_exports import check_exports
from benchmarks.model_page import render_page
from benchmarks.model_record import (
    DIFFERENCES,
    errors_noted,
    exports_verdict,
    verdict,
)
from benchmarks.model_scaling import time_analysis
from benchmarks.model_suite import APPLICATIONS, ENTRIES, Entry
from benchmarks.model_weights import choose_active
from keras_chex.graph.channel_ids import Channels
from keras_chex.graph.groups import ChannelGroup
from keras_chex.graph.rule import rule_for
from tests.zoo import ROWS

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def zoo_entry(name, **options):
    return Entry(name, "Zoo", "applications", ROWS[name].build, **options)


@pytest.fixture(scope="module")
def record():
    return check_model(zoo_entry("flatten_after_concat"))


def test_suite_has_all_models_of_keras_applications():
    names = {e.name for e in ENTRIES.values() if e.suite == "applications"}
    functions = {
        name
        for name in dir(keras.applications)
        if name[0].isupper() and callable(getattr(keras.applications, name))
    }
    assert names == functions
    assert len(names) == 40
    firsts = {e.family for e in ENTRIES.values() if e.is_first}
    assert firsts == set(APPLICATIONS)
    assert len(firsts) == 11


def test_model_of_the_suite_gives_raw_outputs():
    model = ENTRIES["MobileNetV3Small"].build()
    outputs = model(np.ones((1, *model.input_shape[1:]), "float32"))
    assert outputs.shape == (1, 10)
    assert float(keras.ops.min(outputs)) < 0


def test_right_model_passes(record):
    assert record["errors"] == {}
    assert record["verdict"] == "passed"
    assert set(record["differences"]) == set(DIFFERENCES)
    assert record["unfrozen_groups"] == 3
    assert record["groups"] == 4
    assert record["frozen"] == ["model output"]
    assert record["prunable_channels"] == 1.0
    assert record["prunable_flops"] == 1.0
    assert record["kept_flops"] < 0.5
    assert json.loads(json.dumps(record)) == record


def wrong_flatten(call):
    """Repeats each channel in place, as if positions varied slowest."""
    ids, positions = call.inputs[0].ids, call.output_shapes[0][1]
    return [Channels(np.repeat(ids, positions // len(ids)), 1)]


def test_wrong_rule_fails(monkeypatch):
    rule = rule_for(keras.layers.Flatten())
    monkeypatch.setattr(rule, "flow", wrong_flatten, raising=False)
    wrong = check_model(zoo_entry("flatten_after_concat"))
    assert wrong["verdict"] == "failed"
    assert wrong["differences"]["permuted"] > 1e-2
    assert wrong["differences"]["zeroed"] > 1e-2


def test_error_is_recorded_and_other_checks_go_on(monkeypatch):
    def fail(*args):
        raise RuntimeError("no\n  way")

    monkeypatch.setattr("tests.checks.zero_dormant", fail)
    broken = check_model(zoo_entry("plain"))
    assert broken["errors"] == {"zeroed": "RuntimeError: no way"}
    assert set(broken["differences"]) == set(DIFFERENCES) - {"zeroed"}
    assert broken["verdict"] == "error"


def test_file_that_keras_cannot_load_either_is_skipped(monkeypatch):
    def fail(path):
        raise TypeError("no such class")

    monkeypatch.setattr(keras.saving, "load_model", fail)
    unloaded = check_model(zoo_entry("plain"))
    assert "Keras cannot load" in unloaded["skipped"]["reloaded"]
    assert unloaded["verdict"] == "passed"


def test_file_of_the_wrapped_model_alone_that_fails_is_an_error(monkeypatch):
    load = keras.saving.load_model
    calls = []

    def fail_once(path):
        calls.append(path)
        if len(calls) == 1:
            raise TypeError("no such class")
        return load(path)

    monkeypatch.setattr(keras.saving, "load_model", fail_once)
    broken = check_model(zoo_entry("plain"))
    assert broken["errors"] == {"reloaded": "TypeError: no such class"}


def test_training_step_can_be_left_out():
    untrained = check_model(zoo_entry("plain"), train=False)
    assert set(untrained["skipped"]) == {"trained"}
    assert untrained["verdict"] == "passed"


def test_model_without_prunable_channels_is_whole():
    entry = Entry("tiny", "Zoo", "hub", build_whole)
    assert check_model(entry)["verdict"] == "whole"


def build_whole():
    pictures = keras.Input((8, 8, 3))
    return keras.Model(pictures, keras.layers.Conv2D(4, 3)(pictures))


def test_model_that_forgets_its_input_is_void():
    constant = check_model(Entry("constant", "Zoo", "hub", build_constant))
    assert constant["verdict"] == "void"
    assert constant["variation"]["dense"] == 0


def build_constant():
    pictures = keras.Input((8, 8, 3))
    layers = keras.layers
    x = layers.Conv2D(8, 3)(layers.Rescaling(0.0)(pictures))
    return keras.Model(
        pictures, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    )


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("differences", "trained"), 2e-4, "failed"),
        (("differences", "inference"), float("nan"), "failed"),
        (("seen", "stripped"), 1e-4, "failed"),
        (("costs_agree", "flops"), False, "failed"),
        (("variation", "narrow"), 1e-3, "void"),
        (("variation", "dense"), float("nan"), "void"),
        (("moved",), 0.0, "void"),
        (("errors", "wrap"), "TypeError: no", "error"),
        (("unfrozen_groups",), 0, "whole"),
    ],
)
def test_verdict_sees_every_number(record, path, value, expected):
    changed = copy.deepcopy(record)
    place = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    assert verdict(changed) == expected


@pytest.mark.parametrize("name", DIFFERENCES)
def test_missing_difference_fails(record, name):
    changed = copy.deepcopy(record)
    del changed["differences"][name]
    assert verdict(changed) == "failed"


def test_changes_are_compared_to_the_larger_of_change_and_array():
    before = np.array([0.0, 10.0])
    after, other = before + [1.0, 0.0], before + [1.0, 0.01]
    assert compare_changes(before, after, other) == pytest.approx((0.01, 0.1))
    # An array that does not move is compared to a hundredth of itself.
    assert compare_changes(before, before, before + 0.01) == pytest.approx(
        (0.1, 0.0)
    )
    with pytest.raises(ValueError, match="finite"):
        compare_changes(before, after, other * np.nan)


def test_widths_are_rounded_and_frozen_groups_left_out():
    groups = [
        ChannelGroup(name, size, (name,), (), (), frozen)
        for name, size, frozen in (
            ("a", 20, None),
            ("b", 4, None),
            ("c", 100, None),
            ("d", 9, "model output"),
        )
    ]
    widths = {
        name: mask.sum() for name, mask in choose_active(groups, 0.3, 8).items()
    }
    assert widths == {"a": 8, "b": 4, "c": 32}


def test_exports_are_compared():
    result = check_exports(zoo_entry("plain", batch=4))
    assert result["errors"] == {}
    assert result["verdict"] == "passed"
    assert set(result["differences"]) == {
        f"{kind} of {source}"
        for kind in ("saved_model", "tflite")
        for source in ("wrapped", "stripped")
    }
    result["differences"]["tflite of wrapped"] = 1e-3
    assert exports_verdict(result) == "failed"


def test_scaling_times_every_step():
    result = time_analysis(2)
    assert result["operations"] == 2 * 7 + 3
    assert {"channel_groups", "wrap", "strip"} < set(result["seconds"])


def test_plan_and_resuming():
    entries = [ENTRIES["VGG16"], ENTRIES["VGG19"]]
    jobs = models.plan(entries)
    assert [job["model"] for job in jobs] == ["VGG16", "VGG19"]
    assert [job["model"] for job in models.plan(entries, families=True)] == [
        "VGG16",
        "VGG16",
    ]
    assert models.plan(entries, export=True)[0]["kind"] == "export"
    done = [{**jobs[0], "verdict": "failed"}, {**jobs[1], "verdict": "passed"}]
    wanted = {
        again: [models.is_wanted(job, done, again) for job in jobs]
        for again in ("missing", "not_passed", "all")
    }
    assert wanted == {
        "missing": [False, False],
        "not_passed": [True, False],
        "all": [True, True],
    }
    assert models.is_wanted(jobs[0], [], "missing")


def test_record_replaces_the_one_with_its_key(tmp_path):
    path = tmp_path / "models.json"
    job = models.plan([ENTRIES["VGG16"]])[0]
    models.store(path, [], {**job, "verdict": "void"})
    records = models.read_records(path)
    models.store(path, records, {**job, "verdict": "passed"})
    assert [r["verdict"] for r in models.read_records(path)] == ["passed"]


def test_process_that_dies_leaves_a_record():
    job = {**models.plan([ENTRIES["VGG16"]])[0], "model": "NoSuchModel"}
    dead = models.start_job(job, timeout=600, train=False)
    assert dead["verdict"] == "error"
    assert "ended with 1" in dead["errors"]["process"]
    assert models.key(dead) == models.key(job)


def test_page_shows_numbers_notes_and_reasons(record):
    job = {"kind": "checks", "model": "VGG16", "seed": 0}
    broken = {"errors": {}, "verdict": "error", **models.FIRST, **job}
    with errors_noted(broken, "wrap"):
        raise TypeError("a|b")
    kept = {**record, "kind": "checks", "frozen": ["'x' attends"]}
    page = render_page([kept, broken], [time_analysis(1)])
    assert "2 records of 2 models: 1 passed, 1 error." in page
    assert "| flatten_after_concat | 3/4 | 100.0 % |" in page
    assert "**error**; wrap: TypeError: a/b |" in page
    assert "- flatten_after_concat: 'x' attends" in page
    assert "| 1 | 10 |" in page
