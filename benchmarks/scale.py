"""What happens where there is much of it: 100,000 rows that are answered, and images of 64, 128 and 256 pixels.

    python benchmarks/scale.py --peer-python PYTHON_WITH_PYTORCH

Rows are random ones of MNIST's JMVAE-kl, asked in batches: images generated from labels, and log-likelihoods. Images
are those of CelebA's JMVAE-kl, whose networks have a convolution more for each doubling, so that all end with 4x4. Each
training has a process of its own, which says its rate and the most memory that it has held, in turns with PyTorch's;
bfloat16 where the processor has it.
"""

import json
import resource
import sys

import harness
import keras_side
import training
from keras_side import PRESETS

import tf_jmvae as tj
from tf_jmvae.training import presets
from tf_jmvae.training.build import build_model
from tf_jmvae.training.config import Config

ROWS, BATCH, SAMPLES = 100_000, 1000, 10  # of z behind a log-likelihood
SIDES = {64: 64, 128: 32, 256: 8}  # of an image, and the batch
SECONDS = 4.0
ROUNDS = 3
PYTORCH = ("pytorch, channels_last", "pytorch, bfloat16, channels_last")


def measure(options: harness.Options) -> dict:
    images, versions = _images(options)
    return {"rows": _child("rows", size=200 if options.quick else ROWS), "images": images, "peers": versions}


def _images(options: harness.Options) -> tuple[dict, dict]:
    """By the side of the images the batch, parameters, and of each contestant the rates and memory."""
    found, versions = {}, {}
    has_bfloat16 = any("bf16" in name for name in harness.processor()["instructions"])
    for side, batch in SIDES.items():
        batch, seconds = (2, 0.1) if options.quick else (batch, SECONDS)
        if options.quick and side > min(SIDES):
            continue
        request = {"batch": batch, "examples": 2 * batch}
        facts = {"batch": batch, "parameters": _child("check", side=side, peer_python=str(options.peer_python))}
        memory: dict[str, float] = {}

        def ours(precision: str, side=side, seconds=seconds, request=request, memory=memory) -> float:
            answer = _child("images", side=side, precision=precision, seconds=seconds, **request)
            name = f"tf_jmvae, {precision}"
            memory[name] = max(answer["mebibytes"], memory.get(name, 0.0))
            return answer["rate"]

        def theirs(name: str, side=side, seconds=seconds, request=request, memory=memory) -> float:
            with harness.Peer(options, "training") as peer:
                rate = peer.ask("train", name=name, architecture=architecture(side), seconds=seconds, **request)
                memory[name] = max(peer.ask("memory"), memory.get(name, 0.0))
                versions.update(peer.versions)
            return rate

        measures = {f"tf_jmvae, {precision}": lambda p=precision: ours(p) for precision in training.OURS}
        measures |= {name: lambda name=name: theirs(name) for name in PYTORCH}
        measures = {name: call for name, call in measures.items() if has_bfloat16 or "bfloat16" not in name}
        rates = harness.alternate(measures, options.rounds(ROUNDS))
        harness.show(f"images of {side}x{side}", rates, "examples/s")
        print({name: f"{value:.0f} MiB" for name, value in memory.items()}, flush=True)
        found[str(side)] = {**facts, "examples_per_second": rates, "mebibytes": memory}
    return found, versions


def architecture(side: int) -> str:
    """What the peers call it."""
    return "celeba" if side == min(SIDES) else f"celeba-{side}"


def model_of(side: int, precision: str = "float32") -> tj.JMVAEKL:
    """CelebA's JMVAE-kl for images of another size."""
    more = [256] * (side.bit_length() - min(SIDES).bit_length())
    image = {
        "event_shape": [side, side, 3],
        "encoder": {"filters": [64, 128, 256, 256, *more]},
        "decoder": {"filters": [256, *more, 128, 64]},
    }
    config = presets.merge(presets.load(PRESETS["celeba"]).model_dump(), {"model": {"modalities": {"x": image}}})
    return keras_side.seeded(lambda: build_model(Config.model_validate(config).model), precision)


def _child(work: str, **arguments):
    return harness.child("scale", work, json.dumps(arguments))


def images(side: int, precision: str, batch: int, examples: int, seconds: float) -> dict[str, float]:
    """Our rate, and the most memory."""
    fitting = keras_side.Training(model_of(side, precision), batch, examples, PRESETS["celeba"])
    rate = fitting.examples_per_second(seconds)
    return {"rate": rate, "mebibytes": _peak_memory()}


def check(side: int, peer_python: str) -> int:
    """The number of parameters, once PyTorch has as many, and with the same weights the same bound."""
    options = harness.parse("", ["--peer-python", peer_python])
    with harness.Peer(options, "training") as peer:
        return training.check(peer, architecture(side), model_of(side))["tf_jmvae"]["parameters"]


def rows(size: int) -> dict[str, float]:
    """Rows that are answered in a second, and the most memory."""
    model = keras_side.make(PRESETS["mnist"])
    batch = keras_side.random_batch(model, size)
    labels, batches = {"w": batch["w"]}, tj.data.from_arrays(batch, batch_size=BATCH, epochs=range(1))
    asked = {
        "generate": lambda: model.generate(labels, seed=harness.SEED, batch_size=BATCH, verbose=0),
        "posterior": lambda: model.posterior(batch, batch_size=BATCH, verbose=0),
        "elbo": lambda: model.elbo(batch, seed=harness.SEED, batch_size=BATCH, verbose=0),
        f"log-likelihood of {SAMPLES} samples": lambda: tj.evaluation.joint_log_likelihood(
            model, batches, num_samples=SAMPLES, seed=harness.SEED, verbose=0
        ),
    }
    rates = {name: size / harness.seconds_of(call) for name, call in asked.items()}
    return {"size": size, "batch": BATCH, "per_second": rates, "mebibytes": _peak_memory()}


def _peak_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


WORK = {"images": images, "check": check, "rows": rows}


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in WORK:
        print(json.dumps(WORK[sys.argv[1]](**json.loads(sys.argv[2]))))
        sys.exit(0)
    sys.exit(harness.run("scale", __doc__, measure))
