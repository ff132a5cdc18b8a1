"""The page's sections on starting and on large amounts."""

import statistics
from collections.abc import Mapping
from typing import Any

from report_names import side
from report_sections import beside, spread

from tf_jmvae._utils.tables import markdown as table

Found = Mapping[str, Any]
_LEAST = "import tensorflow, keras"


def start(results: Mapping[str, Found]) -> str | None:
    """How long commands take from cold, and first steps and calls."""
    found = results.get("start")
    if found is None:
        return None
    seconds = found["seconds"]
    least = seconds[_LEAST]["median"]
    rows = [[f"`{name}`", spread(at, "{:.2f}"), f"{at['median'] / least:.2f}"] for name, at in seconds.items()]
    steps = "; ".join(
        f"`{preset}` with batches of {at['batch']} {at['first']:.1f} s, and one after it {at['after']:.3f} s"
        for preset, at in found["fit"].items()
    )
    calls = {name: at for name, at in found["signatures"].items() if name != "load"}
    first, second = ([at[which] for at in calls.values()] for which in ("first", "second"))
    return "\n\n".join(
        [
            "Seconds of a process of its own from its start to its end, with files that the system has read before; no "
            "command that computes can be faster than importing TensorFlow and Keras.",
            table(["", "seconds", f"times `{_LEAST}`"], rows),
            f"The first step of `fit`, with data, statistics and compilation: {steps}. MNIST's pre-trained model is "
            f"loaded in {found['signatures']['load']['first'] / 1e3:.1f} s; the first call of one of its {len(calls)} "
            f"signatures takes {statistics.median(first):.0f} ms (at most {max(first):.0f}), the second "
            f"{statistics.median(second):.1f} ms.",
        ]
    )


def scale(results: Mapping[str, Found]) -> str | None:
    """Many rows, and large images."""
    found = results.get("scale")
    if found is None:
        return None
    rows = found["rows"]
    answered = [[name, f"{rate:,.0f}", f"{rows['size'] / rate:.1f}"] for name, rate in rows["per_second"].items()]
    images = [
        [
            f"{size} x {size}",
            str(at["batch"]),
            side(name),
            spread(rate, "{:,.1f}"),
            f"{at['mebibytes'][name]:,.0f}",
            beside(at["examples_per_second"], name, rates=True),
        ]
        for size, at in found["images"].items()
        for name, rate in at["examples_per_second"].items()
    ]
    return "\n\n".join(
        [
            f"{rows['size']:,} rows of MNIST's JMVAE-kl in batches of {rows['batch']:,}, the first call's compilation "
            f"included; the process takes {rows['mebibytes']:,.0f} MiB at most, {rows['size']:,} generated images "
            "among them.",
            table(["", "rows / s", "seconds in all"], answered),
            "Training CelebA's JMVAE-kl on larger images, with a convolution more for each doubling, so that all end "
            "with 4 x 4; the memory is the most that a process of its own held. All sides have as many parameters and, "
            "with the same weights, the same bound.",
            table(["images", "batch", "", "examples / s", "MiB", "ours: times as fast"], images),
        ]
    )
