"""Training on two devices of one process, beside training on one: what `test_distribution.py` compares."""

import contextlib
import pathlib
import pickle

import keras
import numpy as np
import tensorflow as tf
from small_models import small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae.distribute import replicas
from tf_jmvae.optimizers import FusedAdam

BATCH = 11  # of 34 examples: the last batch has one, and one replica none


def kl(**compile_options):
    """With a regulariser, which is one term of the loss however many replicas there are."""
    penalised = keras.layers.Dense(8, kernel_regularizer=keras.regularizers.L2(0.1))
    model = tj.JMVAEKL(small_modalities(), 2, alpha=0.1, trunk=penalised)
    model.compile(FusedAdam(1e-2, global_clipnorm=1.0), **compile_options)
    return model


def gan(**compile_options):
    """With batch normalisation; by SGD, as Adam blows up the rounding of gradients that are zero."""
    mlp = tj.networks.mlp([8, 8], batch_norm=True)
    modalities = {**small_modalities(), "x": tj.Modality((4, 4, 1), "gaussian", encoder=mlp, decoder=mlp)}
    model = tj.JMVAEKLGAN(modalities, 2, discriminator=tj.networks.mlp([8], batch_norm=True))
    model.compile(keras.optimizers.SGD(1e-2, clipnorm=0.5), **compile_options)
    return model


def scope(strategy):
    return strategy.scope() if strategy else contextlib.nullcontext()


def made(model, strategy):
    """Of one device the numbers count, which are the same without a graph, and there sooner."""
    with scope(strategy):
        return model(run_eagerly=strategy is None)


def train_kl(strategy):
    """What a user does: the model in the strategy's scope, then `fit`, `evaluate` and `predict` as ever."""
    model = made(kl, strategy)
    batches = tf.data.Dataset.from_tensor_slices(small_batch(size=34)).batch(BATCH)
    warm_up = [tj.callbacks.KLWarmUp(2)]
    history = model.fit(batches, epochs=3, validation_data=batches, callbacks=warm_up, verbose=0).history
    predicted = model.predict(batches, verbose=0)["x"]
    return {**history, "predict x": predicted, "weights": _weights(model)}


def train_gan(strategy):
    """From arrays, with weights of the examples."""
    model = made(gan, strategy)
    importance = np.linspace(0.5, 1.5, 34, dtype=np.float32)
    options = {"sample_weight": importance, "batch_size": BATCH, "shuffle": False, "verbose": 0}
    history = model.fit(small_batch(size=34), epochs=2, **options).history
    return {**history, "weights": _weights(model)}


def train_scaled(optimizer):
    """With loss scaling, by a wrapper or by the optimizer itself; a heavy example overflows on the second replica."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(34, 3)).astype(np.float32)
    weights = np.where(np.arange(34) == 8, 1e4, 1.0).astype(np.float32)

    def train(strategy):
        with scope(strategy):
            variables, own = (
                [keras.Variable(np.ones(size), dtype="float32", name=f"of_{size}") for size in (3, 1)],
                optimizer(),
            )
            own.build(variables)

        @replicas.on_shard
        def step(_, data):
            values, weight = data
            with tf.GradientTape() as tape:
                made = tf.linalg.matvec(values, variables[0].value) + variables[1].value
                loss = own.scale_loss(replicas.mean(weight * tf.square(made - 3.0)))
            replicas.apply_gradients(own, tape.gradient(loss, variables), variables)

        strategy = strategy or tf.distribute.get_strategy()
        run = tf.function(lambda data: strategy.run(step, args=(None, data)), autograph=False)
        batches = tf.data.Dataset.from_tensor_slices((rows, weights)).batch(BATCH).repeat(6)
        for data in strategy.experimental_distribute_dataset(batches):
            run(data)
        scale = getattr(own, "dynamic_scale", 0.0)
        made = np.concatenate([np.ravel(variable) for variable in variables])
        return {"weights": made, "scale": float(keras.ops.convert_to_numpy(scale))}

    return train


def scaled(inner):
    return keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**126)


SGD = keras.optimizers.SGD
TRAININGS = {
    "kl": train_kl,
    "gan": train_gan,
    "clipnorm": train_scaled(lambda: scaled(SGD(0.1, clipnorm=0.2))),
    "global_clipnorm": train_scaled(lambda: scaled(SGD(0.1, global_clipnorm=0.2))),
    "clipvalue": train_scaled(lambda: scaled(SGD(0.1, clipvalue=0.02))),
    "FusedAdam": train_scaled(lambda: scaled(FusedAdam(0.01, clipnorm=0.2))),
    "loss_scale_factor": train_scaled(lambda: SGD(0.1, clipnorm=0.2, loss_scale_factor=1024.0)),
}


def _weights(model):
    return np.concatenate([np.ravel(weight) for weight in model.get_weights()])


def train_all(output):
    """Leaves in the file `output` what each training gives on one device and on two."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})  # graphs are ready sooner
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    results = {}
    for name, train in TRAININGS.items():
        for strategy in (None, two):
            keras.utils.set_random_seed(3)
            results.setdefault(name, []).append(train(strategy))
    pathlib.Path(output).write_bytes(pickle.dumps(results))
