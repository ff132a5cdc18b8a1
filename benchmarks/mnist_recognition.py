"""What an independent classifier says of digits that JMVAE-kl and plain JMVAE make of labels.

Trains the presets mnist-jmvae-kl and mnist-jmvae where their runs are not finished yet, then a
convolutional classifier on real images, and writes the shares to a JSON file:

    python benchmarks/mnist_recognition.py --data-dir FOLDER
"""

import argparse
import json
import pathlib
import sys

import keras
import numpy as np

from tf_jmvae import data
from tf_jmvae.files import write_json
from tf_jmvae.training import presets, run

SEED = 0
RESULTS = pathlib.Path(__file__).parent / "results" / "mnist_recognition.json"
STEPS = (1, 10, 100)
CHUNK = 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=pathlib.Path, help="folder with MNIST's original files")
    parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs"), help="where the run folders are")
    arguments = parser.parse_args()

    models = {name: _trained(name, arguments) for name in ("mnist-jmvae-kl", "mnist-jmvae")}
    keras.utils.set_random_seed(SEED)
    source = data.load("mnist", data_dir=arguments.data_dir)
    classifier, classifier_accuracy = _train_classifier(source, arguments.data_dir)

    labels = source.test["w"]
    kl = models["mnist-jmvae-kl"]
    of_means = kl.generate({"w": np.eye(10, dtype=np.float32)}, latent="mean")["x"].numpy()
    of_samples = kl.generate({"w": labels}, seed=SEED)["x"].numpy()
    result = {
        "classifier accuracy on real test images": classifier_accuracy,
        "jmvae-kl: digit named from the test image": _named(kl, source),
        "jmvae-kl: image decoded from the mean of q(z|w) recognised": _share(classifier, of_means, np.eye(10)),
        "jmvae-kl: image decoded from samples of q(z|w) recognised": _share(classifier, of_samples, labels),
    }
    jmvae = models["mnist-jmvae"]
    for steps in STEPS:
        of_zeros = jmvae.generate({"w": labels}, num_steps=steps, seed=SEED)["x"].numpy()
        result[f"jmvae: image decoded from zeros and the label recognised, steps = {steps}"] = _share(
            classifier, of_zeros, labels
        )
        result[f"jmvae: digit named from the test image and zeros, steps = {steps}"] = _named(jmvae, source, steps)
    for name, value in result.items():
        print(f"{value:8.4f}  {name}")
    RESULTS.parent.mkdir(exist_ok=True)
    runs = {name: _provenance(arguments.runs / name) for name in models}
    write_json(RESULTS, {"shares": result, "seed": SEED, "runs": runs, **run.environment()})
    return 0


def _trained(name: str, arguments: argparse.Namespace) -> keras.Model:
    config = presets.load(name)
    in_folder = config.data.model_copy(update={"data_dir": arguments.data_dir})
    run.train(config.model_copy(update={"data": in_folder, "run_dir": arguments.runs / name}))
    return keras.saving.load_model(arguments.runs / name / "model.keras")


def _train_classifier(source: data.Source, data_dir: pathlib.Path | None) -> tuple[keras.Model, float]:
    """A classifier that has seen real grey images only, and nothing of the models."""
    conv = {"kernel_size": 3, "activation": "relu"}
    layers = keras.layers
    classifier = keras.Sequential(
        [
            layers.Conv2D(32, **conv),
            layers.MaxPooling2D(),
            layers.Conv2D(64, **conv),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    classifier.compile("adam", loss="categorical_crossentropy", metrics=["accuracy"])
    classifier.fit(source.train["x"], source.train["w"], batch_size=128, epochs=3, verbose=2)
    _, (images, numbers) = data.mnist.read(data_dir)  # the test images in grey
    return classifier, _share(classifier, images, keras.utils.to_categorical(numbers, 10))


def _share(classifier: keras.Model, images: np.ndarray, labels: np.ndarray) -> float:
    named = classifier.predict(images, batch_size=CHUNK, verbose=0).argmax(-1)
    return float(np.mean(named == labels.argmax(-1)))


def _named(model: keras.Model, source: data.Source, num_steps: int = 1) -> float:
    right = 0
    for start in range(0, len(source.test["x"]), CHUNK):
        images, labels = (source.test[name][start : start + CHUNK] for name in ("x", "w"))
        p_w = model.generate({"x": images}, latent="mean", num_steps=num_steps, seed=SEED + start)["w"].numpy()
        right += int(np.sum(p_w.argmax(-1) == labels.argmax(-1)))
    return right / len(source.test["x"])


def _provenance(run_dir: pathlib.Path) -> dict:
    config = json.loads((run_dir / "config.json").read_text())
    training = config["config"]["training"]
    return {"seed": config["config"]["seed"], "commit": config["commit"], "epochs": training["epochs"]}


if __name__ == "__main__":
    sys.exit(main())
