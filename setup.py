"""Package metadata; tool settings live in pyproject.toml."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (HERE / "tf_jmvae/__init__.py").read_text(), re.MULTILINE)[1]
# OpenCV 5 has no Haar cascades any more.
OPENCV = "opencv-python-headless>=4.10,<5"
# MkDocs 2 has no plugins.
DOCS = ["mkdocs>=1.6,<2", "mkdocs-material>=9.5,<10", "mkdocstrings[python]>=1,<2"]
GRADIO = "gradio>=6.31,<7"

setup(
    name="tf-jmvae",
    version=VERSION,
    description="Joint multimodal variational autoencoders for Keras: any modality into any other",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["tf_jmvae", "tf_jmvae.*"]),
    package_data={
        "tf_jmvae.training": ["presets/*.toml"],
        "tf_jmvae.studies": ["templates/*"],
        "tf_jmvae.report.page": ["templates/*"],
        "tf_jmvae.demo": ["examples/*.png", "static/*"],
        "tf_jmvae.serving": ["server_files/*"],
    },
    install_requires=[
        "tensorflow>=2.21,<2.22",
        "tensorboard>=2.20,<3",
        # What of its private API the package uses, and why, is in tf_jmvae/_utils/keras_api.py.
        "keras>=3.15,<3.16",
        # The extra brings tf_keras, without which TensorFlow Probability does not import.
        "tensorflow-probability[tf]>=0.25,<0.26",
        "tensorflow-datasets>=4.9.10,<5",
        # tensorflow-datasets imports it and does not declare it.
        "importlib_resources>=6",
        "numpy>=2",
        # TensorFlow Probability imports distutils, which Python no longer ships from 3.12 on.
        "setuptools>=77",
        "tensorflow-hub>=0.16.1,<0.17",
        "tensorflow-serving-api>=2.21,<2.22",
        "grpcio>=1.70",
        "protobuf>=5",
        "requests>=2.31",
        "packaging>=24",
        "scikit-learn>=1.5",
        "matplotlib>=3.9",
        "pillow>=11",
        "jinja2>=3.1",
        "pydantic>=2.10,<3",
        "tyro>=1.0,<2",
    ],
    extras_require={
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
        "faces": [OPENCV],
        "docs": DOCS,
        "demo": [GRADIO],
        "dev": [
            "filelock>=3.16",
            "hypothesis>=6.100",
            "pytest>=8",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "ruff>=0.9",
            "scipy>=1.13",
            "pyyaml>=6",
            "selenium>=4.20",
            OPENCV,
            *DOCS,
            GRADIO,
        ],
    },
    entry_points={"console_scripts": ["tf-jmvae=tf_jmvae.cli:main"]},
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
