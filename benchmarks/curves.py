"""How cost grows: with the batch, the number of modalities, the size of z, and the samples in evaluation.

    python benchmarks/curves.py --peer-python PYTHON_WITH_PYTORCH

Every point is measured in turns with the others of its curve; the batch's curve has PyTorch by hand beside it.
"""

import sys

import harness
import keras
import keras_side
from flops import training_flops

import tf_jmvae as tj

BATCHES = (32, 64, 128, 256, 512, 1024, 2048)
MODALITIES = {"single": range(2, 9), "shared": range(2, 9), "all": range(2, 7)}  # of 8, "all" is 255 encoders
LATENT_DIMS = (16, 32, 64, 128, 256, 512)
SAMPLES = (10, 30, 100, 300, 1000, 5000)
EXAMPLES = 2048
SCORED = 200_000  # samples of all examples together, so that tracing, 0.2 s in every call, is a small part
BATCH = 128
SECONDS = 0.4
ROUNDS = 3
PYTORCH = ("pytorch", "pytorch, bfloat16")


def measure(options: harness.Options) -> dict:
    with harness.Peer(options, "training") as peer:
        batches = batch_curve(options, peer)
        versions = peer.versions
    return {
        "batch_size": batches,
        "modalities": modality_curve(options),
        "latent_dim": latent_curve(options),
        "samples": sample_curve(options),
        "peers": versions,
    }


def batch_curve(options: harness.Options, peer: harness.Peer) -> dict:
    """Examples per second of MNIST's JMVAE-kl."""
    found = {}
    for batch in BATCHES[:: 3 if options.quick else 1]:
        examples = max(EXAMPLES, 2 * batch) if not options.quick else 2 * batch
        measures = _measures(
            {f"tf_jmvae, {p}": keras_side.make("mnist-jmvae-kl", p) for p in ("float32", "mixed_bfloat16")},
            batch,
            examples,
            options,
        )
        request = {"architecture": "mnist", "batch": batch, "examples": examples}
        for name in PYTORCH:
            peer.ask("train", name=name, seconds=0, **request)
            measures[name] = lambda name=name, request=request: peer.ask(
                "train", name=name, seconds=options.seconds(SECONDS), **request
            )
        found[str(batch)] = harness.alternate(measures, options.rounds(ROUNDS))
        harness.show(f"batch {batch}", found[str(batch)], "examples/s")
        keras.backend.clear_session()
    return found


def modality_curve(options: harness.Options) -> dict:
    """Examples per second and parameters of JMVAE-kl with K modalities of 14x14 binary pixels, D256R-D256R."""
    found = {}
    for mode, numbers in MODALITIES.items():
        models = {str(k): modalities_model(k, mode) for k in numbers[:: 2 if options.quick else 1]}
        found[mode] = _curve(models, f"K, subsets {mode}", options)
        keras.backend.clear_session()
    return found


def modalities_model(number: int, subsets: str) -> tj.models.JMVAEKL:
    """A JMVAE-kl with so many modalities."""
    keras.utils.set_random_seed(harness.SEED)
    modalities = {
        f"m{index}": tj.Modality(
            (14, 14, 1), "bernoulli", encoder=tj.networks.mlp([256, 256]), decoder=tj.networks.mlp([256, 256])
        )
        for index in range(number)
    }
    return tj.models.JMVAEKL(modalities, 64, subsets=subsets)


def latent_curve(options: harness.Options) -> dict:
    """Examples per second of MNIST's JMVAE-kl with z of several sizes."""
    sizes = LATENT_DIMS[:: 3 if options.quick else 1]
    models = {str(size): keras_side.make("mnist-jmvae-kl", latent_dim=size) for size in sizes}
    return _curve(models, "latent_dim", options)


def sample_curve(options: harness.Options) -> dict:
    """Seconds per example of the joint importance estimate."""
    model = keras_side.make("mnist-jmvae-kl")

    def score(number):
        batch = keras_side.random_batch(model, 4 if options.quick else SCORED // number)
        call = lambda: tj.evaluation.joint_log_likelihood(model, batch, num_samples=number, verbose=0)  # noqa: E731
        return lambda: harness.seconds_of(call) / len(batch["w"])

    measures = {str(number): score(number) for number in SAMPLES[:: 4 if options.quick else 1]}
    measures[str(SAMPLES[0])]()
    found = harness.alternate(measures, options.rounds(ROUNDS))
    harness.show("samples", found, "s/example")
    return found


def _curve(models: dict, title: str, options: harness.Options) -> dict:
    examples = 2 * BATCH if options.quick else EXAMPLES
    found = harness.alternate(_measures(models, BATCH, examples, options), options.rounds(ROUNDS))
    harness.show(title, found, "examples/s")
    return {
        name: {**found[name], "parameters": keras_side.parameters(model), "flops_per_example": training_flops(model)}
        for name, model in models.items()
    }


def _measures(models: dict, batch: int, examples: int, options: harness.Options) -> dict:
    trainings = {name: keras_side.Training(model, batch, examples) for name, model in models.items()}
    return {
        name: lambda training=training: training.examples_per_second(options.seconds(SECONDS))
        for name, training in trainings.items()
    }


if __name__ == "__main__":
    sys.exit(harness.run("curves", __doc__, measure))
