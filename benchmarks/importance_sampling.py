"""Joint importance sampling beside MultiVae: seconds per example with 1,000 samples, on the same networks.

Both libraries get MNIST's networks of section 4.2.1 with the same weights, and the same random images, and take
turns; the estimates must agree.

    python benchmarks/importance_sampling.py --peer-python PYTHON_WITH_MULTIVAE
"""

import pathlib
import sys
import tempfile

import harness
import keras_side
import numpy as np

import tf_jmvae as tj

SAMPLES = 1000
EXAMPLES = 1000  # as many as make the tracing of the estimator, 0.2 s in every call, 3% of the time
ROUNDS = 5
_TOLERANCE = 1e-3  # relative, of the estimates


def measure(options: harness.Options) -> dict:
    samples, examples = (20, 10) if options.quick else (SAMPLES, EXAMPLES)
    model = keras_side.make("mnist-jmvae-kl")
    batch = keras_side.random_batch(model, examples)
    means = {}

    def ours() -> float:
        def score():
            means["tf_jmvae"] = tj.evaluation.joint_log_likelihood(
                model, batch, num_samples=samples, seed=harness.SEED, verbose=0
            ).mean

        return harness.seconds_of(score) / examples

    def theirs() -> float:
        answer = peer.ask("score", samples=samples)
        means["multivae"] = answer["mean"]
        return answer["seconds"] / examples

    with tempfile.TemporaryDirectory() as folder, harness.Peer(options, "importance_sampling") as peer:
        path = pathlib.Path(folder) / "peer.npz"
        np.savez(path, **keras_side.arrays(model), **keras_side.for_peer(batch))
        peer.ask("load", path=str(path))
        measures = {"tf_jmvae": ours, "multivae": theirs}
        for warm_up in measures.values():
            warm_up()
        found = harness.alternate(measures, options.rounds(ROUNDS))
        versions = peer.versions
    if abs(means["tf_jmvae"] - means["multivae"]) > (0.1 if options.quick else _TOLERANCE) * abs(means["tf_jmvae"]):
        raise SystemExit(f"The estimates differ, so the networks are not the same: {means}.")
    harness.show("importance sampling", found, "s/example")
    return {
        "seconds_per_example": found,
        "samples": samples,
        "examples": examples,
        "mean_log_likelihood": means,
        "peers": versions,
    }


if __name__ == "__main__":
    sys.exit(harness.run("importance_sampling", __doc__, measure))
