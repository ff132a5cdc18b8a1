"""What one of several workers does, in a process of its own."""

import os
import pathlib
import pickle

import keras
import numpy as np
import tensorflow as tf
from small_models import small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae import cli
from tf_jmvae.distribute import devices as distribution
from tf_jmvae.optimizers import FusedAdam
from tf_jmvae.training import presets, run


def plain_fit(strategy):
    keras.utils.set_random_seed(3)
    with strategy.scope():
        penalised = keras.layers.Dense(8, kernel_regularizer=keras.regularizers.L2(0.1))
        model = tj.JMVAEKL(small_modalities(), 2, alpha=0.1, trunk=penalised)
        model.compile(FusedAdam(1e-2, global_clipnorm=1.0))
    batches = tf.data.Dataset.from_tensor_slices(small_batch(size=34)).batch(11)
    warm_up = [tj.callbacks.KLWarmUp(2)]
    history = model.fit(batches, epochs=3, callbacks=warm_up, verbose=0).history
    predicted = model.predict(batches, verbose=0)["x"]
    weights = np.concatenate([np.ravel(weight) for weight in model.get_weights()])
    return {**history, "predict x": predicted, "weights": weights}


def _become(place):
    os.environ["TF_CONFIG"] = place
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})  # graphs are ready sooner


def command(place, preset, run_dir):
    """`tf-jmvae train` at `place`, a `TF_CONFIG`; gives its exit code."""
    _become(place)
    return cli.main(["train", "--preset", str(preset), "--seed", "3", "--run-dir", str(run_dir)])


def fit_and_train(place, preset, run_dir, output):
    """Trains by `fit` as a user does, then as `tf-jmvae train` does, and leaves what it has in the file `output`."""
    _become(place)
    devices = distribution.connect("auto")  # once in a process
    result = {"plain": plain_fit(devices.strategy)}
    try:
        with devices.agreement():
            1 / (1 - devices.is_chief)
    except (ZeroDivisionError, run.RunError) as error:
        result["failure"] = repr(error)
    try:
        with devices.agreement() as agreed:
            agreed.settings = {"epochs": 1 + devices.is_chief}
    except run.RunError as error:
        result["difference"] = str(error)
    models = []
    run.connect = lambda name: devices
    build_model = run.build_model
    run.build_model = lambda *arguments: models.append(build_model(*arguments)) or models[-1]
    config = presets.load(str(preset)).model_copy(update={"run_dir": pathlib.Path(run_dir), "seed": 3})
    result["metrics"] = run.train(config)
    result["weights"] = [weight.tobytes() for weight in models[0].get_weights()]
    pathlib.Path(output).write_bytes(pickle.dumps(result))
