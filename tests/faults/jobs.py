"""What the tests of faults do in children: the package's own commands and functions, at a tiny size."""

import contextlib
import pathlib
import sys

from record import WRITES

from tf_jmvae import cli
from tf_jmvae._utils.files import RunError

EPOCHS = 8
_PRESET = """
source = "a test"

[data]
dataset = "digits"
train_size = 64
batch_size = 32
{gaps}
[model]
kind = "{kind}"
latent_dim = 2

[model.modalities.x]
event_shape = [8, 8, 1]
likelihood = "bernoulli"
encoder = [8]
decoder = [8]
{label}
[training]
epochs = {epochs}
kl_warm_up = 3
validate_every = 3
steps_per_execution = 1
tensorboard = {tensorboard}
"""
_LABEL = """
[model.modalities.w]
event_shape = [10]
likelihood = "categorical"
encoder = [8]
decoder = [8]
"""
_GAPS = """complete_rows = 0.75  # of a batch: they are repeated, in four batches an epoch
missing.w.fraction = 0.5
"""


def _ended(command):
    """The exit code that a verb would have, whose message is then the last that is printed."""
    try:
        command()
    except (ValueError, OSError, RunError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def write_preset(path, kind="vae", incomplete=False):
    """A model of the image, or of the image and its label, which half of the training rows may lack."""
    label = "" if kind == "vae" else _LABEL + ("optional = true\n" if incomplete else "")
    settings = {"kind": kind, "epochs": EPOCHS, "label": label, "gaps": _GAPS if incomplete else ""}
    path.write_text(_PRESET.format(tensorboard=str(WRITES).lower(), **settings))
    return path


def make_model(preset, folder):
    """An untrained model, which can be exported and measured like any other."""
    from tf_jmvae.training.build import from_preset

    folder.mkdir(exist_ok=True)
    from_preset(str(preset)).save(folder / "model.keras")


def train(preset, run_dir, *options):
    return cli.main(["train", "--preset", str(preset), "--run-dir", str(run_dir), "--seed", "3", *options])


def export(folder, output, *options):
    return cli.main(["export", str(folder), "--output", str(output), "--name", "tiny", *options])


def evaluate(run_dir):
    return cli.main(["evaluate", str(run_dir), "--examples", "20", "--importance-samples", "5"])


def measure(folder, study):
    """A study's measurements of a model: estimates of likelihoods, and coherence."""
    return _ended(lambda: _measure(pathlib.Path(folder), pathlib.Path(study)))


def _measure(folder, study):
    from tf_jmvae import data, evaluation
    from tf_jmvae.studies.study import Measurement, Study
    from tf_jmvae.training import run

    test = {name: values[:50] for name, values in data.load("digits").test.items()}
    model = run.load_model(folder / "model.keras")
    measurements = {}
    for seed in range(4):
        options = {"num_samples": 10, "seed": seed, "verbose": 0}
        measurements[f"likelihood/{seed}"] = Measurement(
            lambda options=options: evaluation.joint_log_likelihood(model, test, **options).as_dict(), 1
        )
        measurements[f"coherence/{seed}"] = Measurement(
            lambda options=options: evaluation.conditional_coherence(
                model, test, target="w", given=["x"], labels=test["w"].argmax(-1), **options
            ).as_dict(),
            1,
        )
    Study(study, {"of": "a test"}).measure(measurements)


def prepare(source, cache):
    """A prepared copy of photographs."""
    return _ended(lambda: read(source, cache))


def read(source, cache, image_size=16):
    from tf_jmvae.data.celeba import dataset as celeba

    return celeba.read(source, image_size=image_size, cache_dir=cache, verbose=0)


def train_until_full(preset, run_dir):
    """The disk is full in the middle of the fourth epoch."""
    import keras

    from tf_jmvae.training import presets, run

    class Fill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                with (run_dir.parent / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(4096))

    config = presets.load(str(preset)).model_copy(update={"run_dir": run_dir, "seed": 3})
    return _ended(lambda: run.train(config, extra_callbacks=[Fill()], verbose=2))


def report(folder, output):
    """The pictures of a model, in a folder of their own."""
    return _ended(lambda: _report(pathlib.Path(folder), pathlib.Path(output)))


def _report(folder, output):
    from tf_jmvae import data
    from tf_jmvae._utils.files import explained
    from tf_jmvae.training import presets, run

    with explained(output):
        output.mkdir(exist_ok=True)
    history = {"loss": [2.0, 1.0], "elbo": [-2.0, -1.0], "kl_prior": [0.0, 0.5]}
    model, config = run.load_model(folder / "model.keras"), presets.load("digits-jmvae")
    run._draw(model, data.load("digits"), history, output, config)


def train_until_nan(preset, run_dir):
    """The decoder's weights become NaN in the first step of the fifth epoch."""
    import keras
    import numpy as np

    from tf_jmvae.training import presets, run

    class Poison(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.noise_state[1]) == 2 * 4 + 1:
                for weight in self.model.decoders["x"].trainable_variables:
                    weight.assign(np.full(weight.shape, np.nan))

    config = presets.load(str(preset)).model_copy(update={"run_dir": run_dir, "seed": 3})
    return _ended(lambda: run.train(config, extra_callbacks=[Poison()], verbose=0))
