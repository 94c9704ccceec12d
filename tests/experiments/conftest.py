"""What tests of several programs share."""

import pytest

from experiments.common import point_recipe, training
from tests.checks import EAGER


@pytest.fixture(scope="module")
def eager_training():
    """So few steps take less time than compiling them."""

    def eager(compile_model):
        def compile_eager(model, *args):
            compile_model(model, *args)
            model.run_eagerly = EAGER

        return compile_eager

    with pytest.MonkeyPatch.context() as patch:
        for module in (training, point_recipe):
            patch.setattr(module, "compile_model", eager(module.compile_model))
        yield
