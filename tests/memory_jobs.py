"""What tests of memory measure, in processes of their own."""

import json
import pathlib
import resource

import keras
import numpy as np

import tf_jmvae as tj


def _used(kind):
    line = next(line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if line.startswith(kind))
    return int(line.split()[1]) << 10


def _vae(shape):
    networks = {"encoder": tj.networks.mlp([2]), "decoder": tj.networks.mlp([2])}
    model = tj.VAE({"x": tj.Modality(shape, "bernoulli", **networks)}, 2)
    model.compile("adam")
    return model


def of_data(folder):
    """Leaves in a file how much memory the data take, as a multiple of their size: memory-mapped ones, and others."""
    np.lib.format.open_memmap(folder / "x.npy", mode="w+", dtype="uint8", shape=(12800, 128, 128)).flush()
    mapped = np.load(folder / "x.npy", mmap_mode="r")
    model = _vae((128, 128))
    before, seen = _used("RssAnon"), {}

    def look(what):
        return lambda batch, logs: seen.setdefault(what, (_used("RssAnon") - before) / mapped.nbytes)

    watch = keras.callbacks.LambdaCallback(on_train_batch_end=look("fit"))
    watch.on_test_batch_end, watch.on_predict_batch_end = look("validation"), look("predict")
    options = {"batch_size": 4, "verbose": 0, "callbacks": [watch]}
    model.fit({"x": mapped}, steps_per_epoch=2, validation_split=0.25, validation_steps=2, **options)
    model.predict({"x": mapped}, steps=2, **options)

    x = np.ones((3000, 64, 64, 3), np.uint8)  # 35 MiB
    model = _vae((64, 64, 3))
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _used("VmHWM")

    def report(batch, logs):
        seen["peak"] = (_used("VmHWM") - before) / x.nbytes
        (folder / "seen").write_text(json.dumps(seen))
        raise SystemExit(0)

    first = keras.callbacks.LambdaCallback(on_train_batch_begin=report)
    model.fit({"x": x}, batch_size=4, verbose=0, callbacks=[first])


def _peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10  # MiB


def _data(size):
    return {"a": np.zeros((size, 3), np.float32), "b": np.eye(4, dtype=np.float32)[np.arange(size) % 4]}


def of_estimates(output):
    """Leaves in the file `output` by how many MiB the memory of a process grows in each estimate."""
    modalities = {"a": tj.Modality((3,), "gaussian"), "b": tj.Modality((4,), "categorical")}
    model, hierarchical = (kind(modalities, 8) for kind in (tj.JMVAEKL, tj.HierarchicalJMVAE))

    def joint(size, **options):
        tj.evaluation.joint_log_likelihood(model, _data(size), **options)

    def nested(size, **options):
        options |= {"target": "a", "given": "b", "iterated_sampling": tj.IteratedSampling(num_chains=1)}
        tj.evaluation.conditional_log_likelihood(hierarchical, _data(size), **options)

    def coherence(size, **options):
        tj.evaluation.conditional_coherence(model, _data(size), target="b", given="b", **options)

    for estimate in (joint, nested, coherence):
        estimate(2, num_samples=2, verbose=0)
    before, grown = _peak(), []
    for estimate, size, num_samples in ((joint, 60, 1000), (nested, 1, 250), (coherence, 300, 200)):
        estimate(size, num_samples=num_samples, verbose=0)
        grown.append(_peak() - before)
    output.write_text(json.dumps(grown))
