"""Everyday calls of a model: processor time of what is asked of one row and of a hundred, compiled and op by op.

    python benchmarks/calls.py

The MNIST JMVAE-kl answers as a notebook or a program of the user's own asks, with NumPy arrays; of a log-likelihood
there are 10 samples. Both sides are the same code: op by op it runs with `model.run_eagerly`. What is compiled is
compiled before, which is timed apart: the seconds of the first call.
"""

import sys

import harness
import keras_side

import tf_jmvae as tj

ROWS = (1, 100)
SECONDS = 0.5
ROUNDS = 5
SIDES = {"compiled": False, "op by op": True}


def calls(model, batch) -> dict:
    """What is asked, by name."""
    w, x = {"w": batch["w"]}, {"x": batch["x"]}
    scored = {"num_samples": 10, "verbose": 0}
    return {
        "generate images from labels": lambda: model.generate(w, seed=harness.SEED),
        "generate labels from images": lambda: model.generate(x, seed=harness.SEED),
        "posterior of images": lambda: model.posterior(x),
        "sample": lambda: model.sample(len(batch["w"]), seed=harness.SEED),
        "elbo": lambda: model.elbo(batch, seed=harness.SEED),
        "predict from labels": lambda: model.predict(w, batch_size=128, verbose=0),
        "joint log-likelihood": lambda: tj.evaluation.joint_log_likelihood(model, batch, seed=harness.SEED, **scored),
    }


def measure(options: harness.Options) -> dict:
    found, first = {}, {}
    models = {side: keras_side.make("mnist-jmvae-kl") for side in SIDES}
    for side, eagerly in SIDES.items():
        models[side].run_eagerly = eagerly
    for rows in ROWS:
        asked = {side: calls(model, keras_side.random_batch(model, rows)) for side, model in models.items()}
        for name in asked["compiled"]:
            seconds = harness.seconds_of(asked["compiled"][name])
            first.setdefault(name, seconds)
            asked["op by op"][name]()
            measures = {side: _milliseconds(questions[name], options) for side, questions in asked.items()}
            found[f"{name}/{rows}"] = harness.alternate(measures, options.rounds(ROUNDS))
            harness.show(f"{name}, {rows} rows", found[f"{name}/{rows}"], "ms")
    return {"milliseconds": found, "first_call_seconds": first}


def _milliseconds(call, options: harness.Options):
    return lambda: 1e3 * harness.repeat_cpu(call, options.seconds(SECONDS))


if __name__ == "__main__":
    sys.exit(harness.run("calls", __doc__, measure))
