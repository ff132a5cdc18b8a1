"""Package metadata; tool settings live in pyproject.toml."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (HERE / "tf_jmvae/__init__.py").read_text(), re.MULTILINE)[1]
# A package is declared where the project imports it, also if another brings it: TensorFlow needs grpcio and requests.
# "all" is every extra for users; "dev" is that, and what tests, benchmarks and documentation need.
EXTRAS = {
    "cli": ["pydantic>=2.10,<3", "tyro>=1.0,<2"],
    "data": [
        "tensorflow-datasets>=4.9.10,<5",
        # tensorflow-datasets imports it and does not declare it.
        "importlib_resources>=6",
        # The pictures of five-digits are files in its wheel.
        "scikit-image>=0.25,<1",
        "scikit-learn>=1.5",
    ],
    "demo": ["gradio>=6.31,<7"],
    # OpenCV 5 has no Haar cascades any more.
    "faces": ["opencv-python-headless>=4.10,<5"],
    "report": ["jinja2>=3.1", "matplotlib>=3.9", "scikit-learn>=1.5", "scipy>=1.13", "tensorboard>=2.20,<3"],
    "serving": [
        "grpcio>=1.70",
        "packaging>=24",
        "requests>=2.31",
        "tensorflow-hub>=0.16.1,<0.17",
        "tensorflow-serving-api>=2.21,<2.22",
    ],
    "tables": ["pandas>=2.2", "pyarrow>=17"],
}
# Apache Beam brings more packages than all the rest, so it is not in "all".
BEAM = ["apache-beam>=2.77,<3"]
EXTRAS["all"] = sorted({package for packages in EXTRAS.values() for package in packages})
# MkDocs 2 has no plugins.
DOCS = ["mkdocs>=1.6,<2", "mkdocs-material>=9.5,<10", "mkdocstrings[python]>=1,<2"]

setup(
    name="tf-jmvae",
    version=VERSION,
    description="Joint multimodal variational autoencoders for Keras: any modality into any other",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE", "NOTICE"],
    python_requires=">=3.11",
    packages=[*find_packages(include=["tf_jmvae", "tf_jmvae.*"]), "tf_jmvae.pretrained"],
    package_dir={"tf_jmvae.pretrained": "saved_models"},
    package_data={
        "tf_jmvae.training": ["presets/*.toml"],
        "tf_jmvae.studies": ["*.md", "*/*.md", "many/peer/*.py"],
        "tf_jmvae.report": ["templates/*"],
        "tf_jmvae.demo": ["examples/*.png", "static/*"],
        "tf_jmvae.serving": ["server_files/*"],
        "tf_jmvae.pretrained": ["mnist_jmvae_kl/**", "emoji/**"],
    },
    install_requires=[
        "tensorflow>=2.21,<2.22",
        # What of its private API the package uses, and why, is in tf_jmvae/_utils/keras_api.py.
        "keras>=3.15,<3.16",
        # The extra brings tf_keras, without which TensorFlow Probability does not import.
        "tensorflow-probability[tf]>=0.25,<0.26",
        "numpy>=2",
        "pillow>=11",
        "h5py>=3.11",
        # With 6.32 and 6.33, tensorflow-datasets fails; Apache Beam needs less than 7.
        "protobuf>=5,!=6.32.*,!=6.33.*",
        # TensorFlow Probability imports distutils, which Python no longer ships from 3.12 on.
        "setuptools>=77",
    ],
    extras_require={
        **EXTRAS,
        "beam": BEAM,
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
        "docs": DOCS,
        "dev": [
            *EXTRAS["all"],
            *BEAM,
            *DOCS,
            "filelock>=3.16",
            "hypothesis>=6.100",
            "pytest>=8",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "pyyaml>=6",
            "ruff>=0.9",
            "selenium>=4.20",
        ],
    },
    entry_points={"console_scripts": ["tf-jmvae=tf_jmvae.cli:main"]},
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
