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
        f"{at['first']:.1f} s for `{preset}` with batches of {at['batch']}, and {at['after']:.3f} s for a later step"
        for preset, at in found["fit"].items()
    )
    calls = {name: at for name, at in found["signatures"].items() if name != "load"}
    first, second = ([at[which] for at in calls.values()] for which in ("first", "second"))
    return "\n\n".join(
        [
            "The wall-clock time of a separate process, with its files already in the file cache. No command that "
            "computes can be faster than importing TensorFlow and Keras.",
            table(["", "seconds", f"relative to `{_LEAST}`"], rows),
            f"The first step of `fit`, including data, statistics and compilation, takes {steps}. MNIST's pre-trained "
            f"model is loaded in {found['signatures']['load']['first'] / 1e3:.1f} s. The median first call of its "
            f"{len(calls)} signatures takes {statistics.median(first):.0f} ms (at most {max(first):.0f}), the second "
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
            f"{rows['size']:,} rows of MNIST's JMVAE-kl in batches of {rows['batch']:,}, including the compilation of "
            f"the first call. The process takes at most {rows['mebibytes']:,.0f} MiB, including {rows['size']:,} "
            "generated images.",
            table(["", "rows / s", "total seconds"], answered),
            "Training CelebA's JMVAE-kl on larger images, with one more convolution for each doubling of the size, so "
            "that all networks end with 4 x 4. Memory is the peak of a separate process. All implementations have the "
            "same number of parameters and, with the same weights, the same bound.",
            table(["images", "batch", "", "examples / s", "MiB", "speed-up of tf_jmvae"], images),
        ]
    )
