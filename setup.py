"""Packaging of keras_chex; the version is read from the package itself."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent


def read_version():
    source = (ROOT / "keras_chex" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "([^"]+)"$', source, re.M).group(1)


def read_long_description():
    readme = ROOT / "README.md"
    return readme.read_text(encoding="utf-8") if readme.exists() else ""


# `ai-edge-litert` has no wheels for Windows; `tf.lite.Interpreter`, which comes
# with TensorFlow, then runs the exported files.
LITERT = ["ai-edge-litert>=1.2; platform_system != 'Windows'"]
# Version 4.9.10 of `tensorflow-datasets` imports `importlib_resources` without
# requiring it.
DATASETS = ["tensorflow-datasets>=4.9.4", "importlib_resources"]
# Version 0.8 of TFMOT only takes models of Keras 2, which is `tf_keras`.
TFMOT = ["tensorflow-model-optimization>=0.8", "tf_keras>=2.18"]
ONNX = ["onnx>=1.16", "onnxruntime>=1.18", "tf2onnx>=1.16"]
COCO = ["keras-hub>=0.20", "pycocotools>=2.0.7", "pillow>=10.0"]
DEMO = [*LITERT, "scikit-learn>=1.3", "matplotlib>=3.7"]
TEST = [
    *DEMO,
    *TFMOT,
    *ONNX,
    "setuptools>=68",
    "pytest>=7.4",
    "pytest-xdist>=3.3",
    "hypothesis>=6.80",
    "pycocotools>=2.0.7",
]

# Keras on another backend than TensorFlow; `requirements-jax.txt` and
# `requirements-torch.txt` have the package's own requirements too.
BACKENDS = {"jax": ["jax>=0.4.34"], "torch": ["torch>=2.6"]}

EXTRAS = {
    **BACKENDS,
    "export": LITERT,
    "demo": DEMO,
    "experiments": [*DEMO, *DATASETS],
    # Figures of `keras_chex.write_report`.
    "report": ["matplotlib>=3.7"],
    "test": TEST,
    "lint": ["ruff==0.17.6"],
    # Backbones that `make models` checks the package on.
    "hub": ["keras-hub>=0.20"],
    # Pictures in COCO layout: experiments/coco_detection.py.
    "coco": COCO,
    # Converting to and from Keras 2, and quantisation-aware training.
    "tfmot": TFMOT,
    "onnx": ONNX,
    # What the study in experiments/compare is measured against.
    "bench": [*LITERT, *TFMOT, "torch>=2.6", "torch-pruning>=1.5"],
}

setup(
    name="keras_chex",
    version=read_version(),
    description=(
        "Channel exploration for Keras 3: networks that become smaller while "
        "they train (CHEX, CVPR 2022), exported to SavedModel and TFLite."
    ),
    long_description=read_long_description(),
    long_description_content_type="text/markdown",
    author="The keras_chex authors",
    license="Apache-2.0",
    keywords=["keras", "tensorflow", "pruning", "compression", "tflite"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    packages=find_packages(include=["keras_chex*"]),
    python_requires=">=3.10",
    install_requires=[
        "numpy>=1.26",
        "scipy>=1.11",
        "keras>=3.8",
        "tensorflow>=2.18",
        "absl-py>=1.4",
        "threadpoolctl>=3.1",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["keras_chex=keras_chex.cli.main:main"]},
)
