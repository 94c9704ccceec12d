"""SavedModels: what is written runs and computes the same, or is not kept."""

import keras
import numpy as np
import pytest

from keras_chex.export.saved_model import export_saved_model
from tests.export import models

tf = pytest.importorskip("tensorflow", reason="needs TensorFlow")
pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize("name", models.MODELS)
def test_written_folder_runs_without_keras_objects(name, tmp_path):
    model = models.MODELS[name]()
    export_saved_model(model, tmp_path / "model")
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    assert set(loaded.signatures) >= {"serving_default"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_signature_takes_another_batch_size(tmp_path):
    model = models.image_model()
    images = np.random.default_rng(1).normal(size=(7, 8, 8, 3))
    images = images.astype("float32")
    path = export_saved_model(model, str(tmp_path / "model"))
    serve = tf.saved_model.load(path).signatures["serving_default"]
    received = serve(image=tf.constant(images))["output_0"]
    expected = model(images, training=False)
    np.testing.assert_allclose(received, expected, atol=1e-5)


def test_half_precision_model_keeps_its_policy(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = models.image_model()
    finally:
        keras.config.set_dtype_policy("float32")
    export_saved_model(model, tmp_path / "model")
    assert model.layers[1].compute_dtype == "float16"
    assert (tmp_path / "model" / "saved_model.pb").is_file()


def test_earlier_export_is_replaced(tmp_path):
    export_saved_model(models.image_model(), tmp_path / "model")
    export_saved_model(models.sequence_model(), tmp_path / "model")
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    signature = loaded.signatures["serving_default"]
    (spec,) = signature.structured_input_signature[1].values()
    assert spec.shape.as_list() == [None, 16, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_empty_folder_is_filled(tmp_path):
    (tmp_path / "model").mkdir()
    export_saved_model(models.image_model(), tmp_path / "model")
    assert (tmp_path / "model" / "saved_model.pb").is_file()


def test_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="which is something else"):
        export_saved_model(models.image_model(), tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_difference_is_an_error_and_keeps_the_earlier_export(tmp_path):
    export_saved_model(models.image_model(), tmp_path / "model")
    before = (tmp_path / "model" / "saved_model.pb").read_bytes()
    with pytest.raises(
        RuntimeError,
        match="The SavedModel does not compute what the model computes: "
        r"output 'output_0' differs by .* Nothing was kept",
    ):
        export_saved_model(models.unfaithful_model(), tmp_path / "model")
    assert (tmp_path / "model" / "saved_model.pb").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_infinite_outputs_are_an_error(tmp_path):
    model = models.image_model()
    model.layers[-1].bias.assign([np.nan, 0.0, 0.0])
    with pytest.raises(RuntimeError, match="of the model itself is not finite"):
        export_saved_model(model, tmp_path / "model")
    assert not any(tmp_path.iterdir())


def test_unbuilt_model_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match="must be built before it is exported. Received: the"
    ):
        export_saved_model(models.Subclassed(), tmp_path / "model")


def test_other_objects_are_refused(tmp_path):
    with pytest.raises(
        TypeError,
        match="Argument `model` must be a `keras.Model` of Keras 3. Received: "
        "builtins.str",
    ):
        export_saved_model("resnet", tmp_path / "model")


def test_examples_of_another_shape_are_refused(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"shape \(None, 8, 8, 3\) for input 'image'. Received: an array "
        r"of shape \(4, 9, 9, 3\)",
    ):
        export_saved_model(
            models.image_model(), tmp_path / "model", np.zeros((4, 9, 9, 3))
        )
    assert not any(tmp_path.iterdir())


def test_examples_of_another_structure_are_refused(tmp_path):
    with pytest.raises(
        ValueError,
        match="must have the structure of the model's inputs",
    ):
        export_saved_model(
            models.two_inputs_two_outputs(),
            tmp_path / "model",
            np.zeros((4, 8, 8, 3)),
        )
