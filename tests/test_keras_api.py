"""What `_utils/keras_api.py` uses of Keras and TensorFlow is there, and Keras still has the faults that it mends.

A failure names an entry of that file. If the name is gone, find its successor; if the fault is, drop the entry.
"""

import inspect
import json

import forked
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.backend.common import global_state
from keras.src.random import seed_generator
from keras.src.trainers.data_adapters import tf_dataset_adapter
from keras.src.utils import rng_utils
from tensorflow.python.eager import context
from tensorflow.python.framework import ops

from tf_jmvae._utils import keras_api


def _gone(entry):
    return f"{entry}: it is gone from Keras; see who uses it in _utils/keras_api.py."


def _mended(entry):
    return f"{entry}: Keras itself does this now; drop the entry from _utils/keras_api.py and what overrides it."


@pytest.mark.parametrize(("owner", "name"), [(o, n) for o, names in keras_api.OVERRIDDEN.items() for n in names])
def test_what_is_overridden_is_still_there(owner, name):
    assert hasattr(owner, name) or f"self.{name}" in inspect.getsource(owner), _gone(f"{owner.__name__}.{name}")


def test_layers_in_a_layer():
    network = keras.Sequential([keras.Input((2,)), keras.Sequential([keras.layers.Dense(3, name="inner")])])
    assert hasattr(network, "_flatten_layers"), "flatten_layers: Layer._flatten_layers is gone from Keras."
    inner = network.layers[0].layers[0]
    assert any(layer is inner for layer in keras_api.flatten_layers(network))
    assert all(layer is not inner for layer in keras_api.flatten_layers(network, recursive=False))
    assert not hasattr(keras.layers.Dense(1), "layers"), _mended("flatten_layers")


def test_keras_reads_data_by_an_adapter_that_it_also_takes():
    data = tf.data.Dataset.from_tensors((np.ones((4, 1), "float32"), np.ones((4, 1), "float32")))
    adapter = keras_api.data_adapter(data)
    assert isinstance(adapter, tf_dataset_adapter.TFDatasetAdapter), "data_adapter: Keras has another adapter."
    read, original = [], adapter.get_tf_dataset
    adapter.get_tf_dataset = lambda: read.append(True) or original()
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(adapter, verbose=0)
    assert read, "data_adapter: Keras does not read an adapter that fit gets by its get_tf_dataset any more."


def test_how_tensorflow_defines_an_op():
    assert keras_api.op_definition("AddV2").input_arg[0].name == "x", "op_definition: the registry answers otherwise."
    assert keras_api.op_definition("NoSuchOp") is None
    assert not hasattr(tf, "get_op_def"), _mended("op_definition")


def test_whether_something_records_gradients():
    assert not keras_api.records_gradients(), "records_gradients: TensorFlow answers otherwise."
    with tf.GradientTape():
        assert keras_api.records_gradients()
    with tf.autodiff.ForwardAccumulator(tf.constant(1.0), tf.constant(1.0)):
        assert keras_api.records_gradients()
    assert not hasattr(tf.autodiff, "could_possibly_record"), _mended("records_gradients")


def test_random_state_is_where_it_is_read():
    keras.utils.set_random_seed(5)
    keras.random.uniform([])
    tf.random.uniform([])
    for name in (rng_utils.GLOBAL_RANDOM_SEED, seed_generator.GLOBAL_SEED_GENERATOR):
        assert global_state.get_global_attribute(name) is not None, _gone(f"global_state_kept: {name}")
    assert context.global_seed() == 5, "global_state_kept: TensorFlow keeps its seed elsewhere."
    assert getattr(context.context(), "_rng", None) is not None, "global_state_kept: context()._rng is gone."


def test_keras_asks_for_a_config_of_hdf5_in_a_scope_of_its_own(tmp_path):
    asked = []

    class Model(keras.Model):
        def get_config(self):
            asked.append(keras_api.saves_as_hdf5())
            return {}

    model = Model()
    model.built = True
    keras.saving.save_model(model, tmp_path / "model.h5")
    model.save(tmp_path / "model.keras")
    assert (asked[0], asked[-1]) == (True, False), "saves_as_hdf5: Keras says elsewhere that it writes HDF5."


def test_an_optimizer_alone_leaves_no_graph_behind():
    def num_kept():
        return sum(name.startswith("CustomGradient") for name in ops.gradient_registry.list())

    def step(optimizer, variable):
        optimizer.build([variable])
        tf.function(lambda: optimizer.apply([tf.constant([3.0])], [variable]))()
        return float(keras.ops.convert_to_numpy(variable)[0])

    before = num_kept()
    optimizer = _plain()
    with keras_api.alone(optimizer):
        assert step(optimizer, keras.Variable([0.0])) == -1.0
    assert num_kept() == before, _gone("alone: Optimizer._all_reduce_sum_gradients")
    assert "_all_reduce_sum_gradients" not in vars(optimizer)
    step(_plain(), keras.Variable([0.0]))
    assert num_kept() > before, _mended("alone")


# Two replicas are two devices, which a process of tests has not: the rest is asked of another process.


def _plain():
    return keras.optimizers.SGD(1.0, clipnorm=1.0)


def _summing_first():
    optimizer = _plain()
    keras_api.sum_before_clipping(optimizer, lambda g: tf.distribute.get_replica_context().all_reduce("SUM", g))
    return optimizer


def _applied(strategy, make):
    """What a step of SGD subtracts where two replicas have a gradient of 3 each: of the clipped sum 1."""
    with strategy.scope():
        variable = keras.Variable([0.0])
        optimizer = make()
        optimizer.build([variable])
    strategy.run(tf.function(lambda: optimizer.apply([tf.constant([3.0])], [variable])))
    return -float(keras.ops.convert_to_numpy(variable)[0])


class _Averaged(keras.Model):
    """Logs the mean of the data, and notes whether Keras asks for a symbolic build."""

    def __init__(self):
        super().__init__()
        self.mean, self.asked = keras.metrics.Mean(name="mean"), False
        self.built = True

    def train_step(self, data):
        self.mean.update_state(data)
        return {"mean": self.mean.result()}

    def _maybe_symbolic_build(self, *args, **kwargs):
        self.asked = True


def _on_two_replicas(output):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    applied = {make.__name__: _applied(strategy, make) for make in (_plain, _summing_first)}
    with strategy.scope():
        model = _Averaged()
    model.compile("sgd")
    data = tf.data.Dataset.from_tensors(tf.constant([0.0, 0.0, 3.0]))  # two rows on the first replica, one on the other
    history = model.fit(data, verbose=0).history
    output.write_text(json.dumps({**applied, "mean": history["mean"][0], "asked": model.asked}))


def test_what_keras_does_on_two_replicas(tmp_path):
    for name in ("_clip_gradients", "_all_reduce_sum_gradients"):
        assert hasattr(_plain(), name), f"sum_before_clipping: Optimizer.{name} is gone from Keras."
    code, printed = forked.run(_on_two_replicas, tmp_path / "found", log=tmp_path / "log")
    assert code == 0, printed[-3000:]
    found = json.loads((tmp_path / "found").read_text())
    assert found["_summing_first"] == pytest.approx(1.0)
    assert found["_plain"] == pytest.approx(2.0), _mended("sum_before_clipping")
    assert found["asked"], _mended("_maybe_symbolic_build")
    assert found["mean"] != pytest.approx(1.0), _mended("_make_function")
