"""Iterated sampling, Eq. (6), beside PyTorch: 100 steps of a JMVAE that make images from labels.

    python benchmarks/iterated_sampling.py --peer-python PYTHON_WITH_PYTORCH

Ours is `model.generate`, as users call it. PyTorch's loop is written by hand and encodes the observed label once. Both
have MNIST's networks with the same weights; with the same images and labels their posteriors must agree, and the
images that they make must have the same mean in every pixel, as far as chance allows.
"""

import pathlib
import sys
import tempfile

import harness
import keras_side
import numpy as np

BATCHES = (64, 256)
STEPS = 100
ROUNDS = 5
_CHAINS = 256  # whose mean images are compared
_DEVIATIONS = 6.0  # by which the means of a pixel may differ


def measure(options: harness.Options) -> dict:
    steps = 5 if options.quick else STEPS
    model = keras_side.make("mnist-jmvae")
    _spread(model)
    found = {}
    with tempfile.TemporaryDirectory() as folder, harness.Peer(options, "iterated_sampling") as peer:
        path = pathlib.Path(folder) / "peer.npz"
        batch = keras_side.random_batch(model, 64)
        np.savez(path, **keras_side.arrays(model), **keras_side.for_peer(batch))
        peer.ask("load", path=str(path))
        _check(model, batch, peer)
        for size in BATCHES:
            labels = np.eye(10, dtype=np.float32)[np.arange(size) % 10]
            seeds = iter(range(10**9))

            def ours(labels=labels, seeds=seeds):
                images = model.generate({"w": labels}, num_steps=steps, seed=next(seeds))["x"]
                return images.numpy()

            measures = {"tf_jmvae": lambda ours=ours: harness.seconds_of(ours)}
            for name, compiled in (("pytorch", False), ("pytorch, compiled", True)):
                request = {"rows": size, "steps": steps, "compiled": compiled}
                measures[name] = lambda request=request: peer.ask("time", **request)
            for warm_up in measures.values():
                warm_up()
            found[str(size)] = harness.alternate(measures, options.rounds(ROUNDS))
            harness.show(f"{steps} steps, {size} chains", found[str(size)], "s")
        versions = peer.versions
    return {"seconds": found, "steps": steps, "peers": versions}


def _spread(model) -> None:
    """Biases that give the pixels different means: fresh networks make a half of every pixel."""
    head = model.decoders["x"].head
    kernel, bias = head.get_weights()
    head.set_weights([4 * kernel, np.random.default_rng(harness.SEED).standard_normal(bias.shape)])


def _check(model, batch, peer) -> None:
    means = {"tf_jmvae": model.posterior(batch).mean().numpy(), "pytorch": np.array(peer.ask("encode"))}
    if not np.allclose(means["tf_jmvae"], means["pytorch"], atol=1e-4):
        raise SystemExit("The posteriors differ, so the networks are not the same.")
    labels = np.tile(np.eye(10, dtype=np.float32)[3], (_CHAINS, 1))
    ours = model.generate({"w": labels}, num_steps=5, seed=harness.SEED)["x"].numpy().reshape(_CHAINS, -1)
    theirs = np.array(peer.ask("sample", rows=_CHAINS, label=3, steps=5))
    error = np.sqrt((ours.var(0) + theirs.var(0)) / _CHAINS)
    apart = float(np.max(np.abs(ours.mean(0) - theirs.mean(0)) / error))
    if apart > _DEVIATIONS:
        raise SystemExit(f"The chains differ: the means of a pixel are {apart:.1f} standard errors apart.")


if __name__ == "__main__":
    sys.exit(harness.run("iterated_sampling", __doc__, measure))
