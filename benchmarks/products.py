"""What arithmetic costs at least here: the rate of every matrix product that the benchmarks' networks are made of.

Each product is measured alone in TensorFlow and in PyTorch, in float32 and bfloat16, in turns; the faster library
counts. The least time of a step or a sample is the sum over its products; what is left out (activations, likelihoods,
the optimizer) only makes that limit harder to reach. A framework that runs small products side by side may pass it.

    python benchmarks/products.py --peer-python PYTHON_WITH_PYTORCH
"""

import sys
from collections import Counter
from collections.abc import Callable

import flops
import harness
import keras_side
import tensorflow as tf
from flops import Product

SECONDS = 0.04
PAUSE = 0.05  # seconds: the libraries' threads wait for more work for a few milliseconds
ROUNDS = 3
DTYPES = ("float32", "bfloat16")
SERVED_SAMPLES = 100  # of the signature log_likelihood
SCORED_ROWS = 8000  # z that are decoded at once in evaluation: eight examples of 1,000 samples
_NEGLIGIBLE = 0.01  # of a workload's operations: smaller products run at the mean rate of the others


def workloads() -> dict[str, dict]:
    """Products by what they are needed for, and how many examples (or samples) they serve."""
    mnist, celeba = (keras_side.make(preset) for preset in keras_side.PRESETS.values())
    found = {
        f"training/mnist/{batch}": _workload(flops.training_products(mnist, batch), batch) for batch in (128, 1024)
    }
    found["training/celeba/64"] = _workload(flops.training_products(celeba, 64), 64)
    decoders = [layer for decoder in mnist.decoders.values() for layer in flops.decoder_layers(decoder)]
    found["importance_sampling"] = _workload(flops.forward_products(decoders, SCORED_ROWS), SCORED_ROWS)
    jmvae = keras_side.make("mnist-jmvae")
    step = flops.encoder_layers(jmvae.encoder, known=["w"]) + flops.decoder_layers(jmvae.decoders["x"])
    for batch in (64, 256):
        found[f"iterated_sampling/{batch}"] = _workload(flops.forward_products(step, batch), batch)
    for name, layers in _signatures(mnist, decoders).items():
        for rows in (1, 64, 256):
            products = [product for layer, each in layers for product in flops.forward_products([layer], rows * each)]
            found[f"generation/{name}/{rows}"] = _workload(products, rows)
    return found


def _signatures(model, decoders: list[flops.Layer]) -> dict[str, list[tuple[flops.Layer, int]]]:
    """The layers that a request goes through in `serving.py`, and how often each row does."""
    joint = [(layer, 1) for layer in flops.encoder_layers(model.encoder)]
    images, labels = (
        [(layer, 1) for layer in flops.encoder_layers(model.subset_encoders[given]) + flops.decoder_layers(decoder)]
        for given, decoder in (("w", model.decoders["x"]), ("x", model.decoders["w"]))
    )
    return {
        "encode": joint,
        "generate_w_from_x": labels,
        "generate_x_from_w": images,
        "sample_x_from_w": images,
        "log_likelihood": joint + [(layer, SERVED_SAMPLES) for layer in decoders],
    }


def _workload(products: list[Product], examples: int) -> dict:
    return {"products": Counter(products), "examples": examples}


def measure(options: harness.Options) -> dict:
    wanted = workloads()
    needed = sorted({product for w in wanted.values() for product in _counted(w["products"])}, key=lambda p: p.flops)
    rates = {dtype: {} for dtype in DTYPES}
    seconds = options.seconds(SECONDS)
    with harness.Peer(options, "products") as peer:
        for product in needed[:: 12 if options.quick else 1]:
            shape = product.rows, product.inner, product.columns
            measures: dict[str, Callable[[], float]] = {}
            for dtype in DTYPES:
                ours = _Repeated(product, dtype)
                measures[f"tensorflow, {dtype}"] = lambda ours=ours: ours.rate(seconds)
                request = {"dtype": dtype, "shape": shape, "seconds": seconds}
                measures[f"torch, {dtype}"] = lambda request=request: peer.ask("rate", **request)
            found = harness.alternate(measures, options.rounds(ROUNDS), PAUSE)
            for dtype in DTYPES:
                rates[dtype]["x".join(map(str, shape))] = {
                    library: found[f"{library}, {dtype}"] for library in ("tensorflow", "torch")
                }
        versions = peer.versions
    limits = {
        name: {"flops_per_example": sum(p.flops * n for p, n in w["products"].items()) / w["examples"]}
        | {dtype: limit(w["products"], w["examples"], rates[dtype]) for dtype in DTYPES}
        for name, w in wanted.items()
    }
    for name, values in limits.items():
        print(f"{name:26} {values['flops_per_example'] / 1e6:9.2f} MFLOP", *(values[dtype] for dtype in DTYPES))
    return {"gflops_per_second": rates, "examples_per_second": limits, "peers": versions}


def limit(products: Counter, examples: int, rates: dict[str, dict[str, dict]]) -> float | None:
    """Examples per second if nothing but these products took time, each in the library that is faster at it.

    Without the rate of any of them (in a quick run) there is no limit.
    """
    total = sum(product.flops * number for product, number in products.items())
    covered, seconds = 0, 0.0
    for product, number in products.items():
        found = rates.get(f"{product.rows}x{product.inner}x{product.columns}")
        if found is not None:
            best = max(values["median"] for values in found.values()) * 1e9
            covered += product.flops * number
            seconds += product.flops * number / best
    return examples / (seconds * total / covered) if covered else None


def _counted(products: Counter) -> list[Product]:
    total = sum(product.flops * number for product, number in products.items())
    return [product for product, number in products.items() if product.flops * number >= _NEGLIGIBLE * total]


class _Repeated:
    """A product again and again in one graph, so that no call from Python is measured."""

    def __init__(self, product: Product, dtype: str):
        left = tf.cast(tf.random.stateless_normal((product.rows, product.inner), (0, 1)), dtype)
        right = tf.cast(tf.random.stateless_normal((product.inner, product.columns), (0, 2)), dtype)
        self._flops = product.flops

        @tf.function
        def run(times):
            return tf.while_loop(
                lambda number, _: number < times,
                lambda number, _: (number + 1, tf.matmul(left, right)),
                (0, tf.zeros((product.rows, product.columns), dtype)),
                parallel_iterations=1,
                maximum_iterations=times,
            )[1]

        self._run = run
        run(tf.constant(1))
        self._once = harness.seconds_of(lambda: run(tf.constant(8))) / 8

    def rate(self, seconds: float) -> float:
        """In GFLOP/s."""
        times = max(1, round(seconds / self._once))
        took = harness.seconds_of(lambda: self._run(tf.constant(times)))
        return self._flops * times / took / 1e9


if __name__ == "__main__":
    sys.exit(harness.run("products", __doc__, measure))
