"""The page's sections: each reads what one benchmark found and gives Markdown."""

from collections.abc import Mapping
from typing import Any

from report_names import NETWORKS, batch_name, side, work_name
from report_ratios import OURS, Summary, best, share, speed

from tf_jmvae._utils.tables import markdown as table

Found = Mapping[str, Any]
# Who answers a request, and as what.
_CALLERS = {
    "tf_jmvae, exported": "exported",
    "an empty function": "an empty function",
    "tf_jmvae, generate": "`model.generate`",
    "pytorch": "PyTorch",
    "onnxruntime": "ONNX Runtime",
}


def training(results: Mapping[str, Found]) -> str | None:
    """Examples per second of all contestants, and their share of what arithmetic allows."""
    found = results.get("training")
    if found is None:
        return None
    limits = results.get("products", {}).get("examples_per_second", {})
    parts = [
        "Examples per second on random data in memory, so that no disk is measured. The limit is the rate that the "
        "matrix products of a step alone would allow in the same precision (see the appendix)."
    ]
    for key, measured in found["examples_per_second"].items():
        limit = limits.get(f"training/{key}")
        rows = [
            [
                side(name),
                spread(at, "{:,.0f}"),
                share(at["median"], limit, name),
                beside(measured, name, rates=True),
            ]
            for name, at in measured.items()
        ]
        parts += [
            f"### {batch_name(key)}",
            table(["", "examples / s", "share of the limit", "speed-up of tf_jmvae"], rows),
        ]
    checks = found["checks"]
    parts.append(
        "Before timing, all implementations are checked to have the same number of parameters and, with the same "
        "weights, the same bound at the mean of q(z | x, w): "
        + "; ".join(
            f"{NETWORKS[work]} {check['tf_jmvae']['parameters']:,} parameters, "
            + ", ".join(f"{check[name]['bound']:.3f} ({side(name)})" for name in check if name != "flops_per_example")
            for work, check in checks.items()
        )
        + " nats."
    )
    return "\n\n".join(parts)


def incomplete(results: Mapping[str, Found]) -> str | None:
    """What rows that lack modalities cost in training."""
    found = results.get("incomplete")
    if found is None:
        return None
    measured, cost = found["examples_per_second"], found["cost_of_an_epoch"]
    rows = [[name, spread(at, "{:,.0f}"), f"{cost[name]:.2f}"] for name, at in measured.items()]
    return (
        f"Training MNIST's JMVAE-kl in float32, batch {found['batch']}, with labels w or images x that may be missing, "
        "compared with a model in which nothing may be missing. The cost of a batch follows from what its rows "
        "contain.\n\n" + table(["", "examples / s", "epoch time relative to the first row"], rows)
    )


def evaluation(results: Mapping[str, Found]) -> str | None:
    """Importance sampling and iterated sampling."""
    parts = []
    limits = results.get("products", {}).get("examples_per_second", {})
    if found := results.get("importance_sampling"):
        measured, samples = found["seconds_per_example"], found["samples"]
        rows = [
            [
                side(name),
                spread({key: _milli(at[key]) for key in ("median", "low", "high")}, "{:.2f}", " ms"),
                share(samples / at["median"], limits.get("importance_sampling"), name),
                beside(measured, name, rates=False),
            ]
            for name, at in measured.items()
        ]
        means = ", ".join(f"{side(name)} {mean:.2f}" for name, mean in found["mean_log_likelihood"].items())
        parts += [
            f"The joint importance bound with {samples} samples for {found['examples']} images, with MNIST's networks "
            f"(in MultiVae, `compute_joint_nll`). With the same weights and images the estimates agree: {means} nats.",
            table(["", "time per image", "share of the limit", "speed-up of tf_jmvae"], rows),
        ]
    if found := results.get("iterated_sampling"):
        steps, rows = found["steps"], []
        for chains, measured in found["seconds"].items():
            limit = limits.get(f"iterated_sampling/{chains}")
            rows += [
                [
                    chains,
                    side(name),
                    spread({key: _milli(at[key]) for key in ("median", "low", "high")}, "{:.0f}", " ms"),
                    share(int(chains) * steps / at["median"], limit, name),
                    beside(measured, name, rates=False),
                ]
                for name, at in measured.items()
            ]
        parts += [
            f"Iterated sampling, Eq. (6): {steps} steps of a JMVAE from labels to images, comparing `model.generate` "
            "with a hand-written loop that encodes the label once.",
            table(["chains", "", "time", "share of the limit", "speed-up of tf_jmvae"], rows),
        ]
    return "\n\n".join(parts) or None


def calls(results: Mapping[str, Found]) -> str | None:
    """What a model is asked in a process of the user's own, compiled and op by op."""
    found = results.get("calls")
    if found is None:
        return None
    first, rows = found["first_call_seconds"], []
    for key, measured in found["milliseconds"].items():
        name, _, number = key.rpartition("/")
        compiled, plain = measured["compiled"], measured["op by op"]
        times = str(speed(compiled, plain, rates=False))
        rows.append([name, number, spread(compiled, "{:.2f}"), spread(plain, "{:.2f}"), times, f"{first[name]:.1f}"])
    header = ["", "rows", "compiled, ms", "eager, ms", "speed-up by compilation", "first call, s"]
    return (
        "User CPU time per call of a Keras model, MNIST's JMVAE-kl, with NumPy arrays as inputs. Each method is "
        "compiled once, for any number of rows; the first call includes the compilation. Eager is the same code "
        "with `model.run_eagerly`.\n\n" + table(header, rows)
    )


def generation(results: Mapping[str, Found]) -> str | None:
    """The exported model and `model.generate` beside PyTorch."""
    found = results.get("serving")
    if found is None:
        return None
    limits = results.get("products", {}).get("examples_per_second", {})
    rows = []
    for key, measured in found["milliseconds"].items():
        name, _, number = key.rpartition("/")
        exported, own = measured["tf_jmvae, exported"], measured["pytorch"]
        rows.append(
            [
                f"`{name}`",
                number,
                *(spread(measured[by], "{:.2f}") if by in measured else "" for by in _CALLERS),
                str(speed(exported, own, rates=False)),
                *(
                    share(1e3 * int(number) / at["median"], limits.get(f"generation/{key}"), "float32")
                    for at in (exported, own)
                ),
            ]
        )
    header = [
        "",
        "rows",
        *(f"{title}, ms" for title in _CALLERS.values()),
        "exported: speed-up over PyTorch",
        "exported: share of the limit",
        "PyTorch: share of the limit",
    ]
    return "\n\n".join(
        [
            "Milliseconds per call within one process, without the transport of a server: the signatures of the "
            "exported model, the method of the Keras model, a PyTorch module under `torch.inference_mode`, and ONNX "
            "Runtime, all with the same networks and weights. The empty function is a SavedModel signature with the "
            "same inputs that returns one of them, which shows the minimum cost of a TensorFlow call. Exporting takes "
            f"{found['export_seconds']:.1f} s, loading {found['load_seconds']:.1f} s.",
            table(header, rows),
        ]
    )


def memory(results: Mapping[str, Found]) -> str | None:
    """Peak memory."""
    found = results.get("memory")
    if found is None:
        return None
    rows = [
        [work_name(work), side(name), f"{mebibytes:,.0f}"]
        for work, at in found["mebibytes"].items()
        for name, mebibytes in at.items()
    ]
    scored = found["scored"]
    return "\n\n".join(
        [
            "The peak memory of a process that does nothing else, including the interpreter and libraries. The joint "
            f"importance bound uses {scored['samples']} samples for each of {scored['examples']} images.",
            table(["", "", "MiB"], rows),
        ]
    )


def limits(results: Mapping[str, Found]) -> str | None:
    """What the machine's matrix products allow."""
    found = results.get("products")
    if found is None:
        return None
    rows = [
        [
            _limit_name(name),
            f"{at['flops_per_example'] / 1e6:,.2f}",
            *("" if at[dtype] is None else f"{at[dtype]:,.0f}" for dtype in ("float32", "bfloat16")),
        ]
        for name, at in found["examples_per_second"].items()
    ]
    shapes = found["gflops_per_second"]["float32"]
    rates = [
        [
            shape.replace("x", " x "),
            *(
                f"{found['gflops_per_second'][dtype][shape][library]['median']:,.0f}"
                for dtype in ("float32", "bfloat16")
                for library in ("tensorflow", "torch")
            ),
        ]
        for shape in sorted(shapes, key=lambda shape: [int(size) for size in shape.split("x")])
    ]
    return "\n\n".join(
        [
            "The operations of a workload are counted from the shapes of its layers. Each matrix product of these "
            "shapes (for a convolution, that of its patches) is timed on its own in both libraries, and the faster "
            "one counts. The limit is the number of examples per second that would be possible if nothing else took "
            "time. Products that run in parallel may exceed it.",
            table(["", "MFLOP per example", "float32: examples / s", "bfloat16: examples / s"], rows),
            "### Rates of the products, GFLOP/s",
            table(
                ["product", "TensorFlow, float32", "PyTorch, float32", "TensorFlow, bfloat16", "PyTorch, bfloat16"],
                rates,
            ),
        ]
    )


def _limit_name(key: str) -> str:
    work, _, rest = key.partition("/")
    return {
        "training": f"training, {batch_name(rest)}" if work == "training" else "",
        "importance_sampling": "importance sampling, a sample",
        "iterated_sampling": f"iterated sampling, {rest} chains, a step of one",
        "generation": f"`{rest.rpartition('/')[0]}`, {rest.rpartition('/')[2]} rows",
    }[work]


def spread(at: Summary, form: str, unit: str = "") -> str:
    """The median, with the smallest and the largest in brackets."""
    return f"{form.format(at['median'])}{unit} ({form.format(at['low'])} to {form.format(at['high'])})"


def _milli(seconds: float) -> float:
    return 1e3 * seconds


def beside(measured: Mapping[str, Summary], name: str, *, rates: bool) -> str:
    """Ours beside a peer in the same precision; nothing for our own rows."""
    if name.startswith(OURS):
        return ""
    low = "bfloat16" in name
    ours = best({key: at for key, at in measured.items() if ("bfloat16" in key) == low}, OURS, rates=rates)
    return str(speed(measured[ours], measured[name], rates=rates)) if ours else ""
