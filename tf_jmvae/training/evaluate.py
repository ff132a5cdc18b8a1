"""Evaluation of runs: log-likelihoods on the test set by all estimators of the model, in `evaluation.json`."""

import contextlib
import functools
import os
import sys
from pathlib import Path
from typing import Any

from tf_jmvae._utils import checks
from tf_jmvae._utils.files import RunError, write_json
from tf_jmvae._utils.provenance import environment
from tf_jmvae.evaluation.planned import planned
from tf_jmvae.evaluation.scored_rows import NoExamplesError
from tf_jmvae.models.iterated_sampling import iteration_of
from tf_jmvae.training.run_folder import load_model, read_config

EVALUATION = "evaluation.json"
_RECORDED = ("estimator", "mean", "standard_error", "effective_sample_size", "num_samples", "quantity", "settings")


def evaluate_run(
    run_dir: str | os.PathLike,
    *,
    num_samples: int = 10,
    importance_samples: int = 100,
    num_steps: int | None = None,
    examples: int | None = None,
    seed: int = 0,
    data_dir: str | os.PathLike | None = None,
    verbose: bool = True,
    keep: bool = True,
) -> dict[str, Any]:
    """Estimates log-likelihoods of a run on its test set, and writes `evaluation.json` to the run folder.

    The estimates are the bound of Eq. (11) for every direction, both "single" and given all modalities ("multiple");
    importance estimates of log p(all) and log p(m) for a joint model, or of log p(target | given) for a conditional
    model; and those of other registered estimators.

    Each bound takes `num_samples` samples of z for each example (the paper: 10), each importance estimate
    `importance_samples`. `num_steps` of iterated sampling are by default the run's, and `examples` all of the test set.
    `data_dir` overrides the folder of the dataset's files if they were moved. With `verbose` progress is shown on
    stderr; without `keep` the file is not written.

    Returns:
      Dict of the content of `evaluation.json`: `seed`, `examples`, `settings`, `versions`, `commit`, `dirty` and
      `rows`, each a dict with `estimator`, `target`, `given`, `mean` and `standard_error` in nats per example,
      `effective_sample_size`, `num_samples`, `quantity`, and `settings` on which the number depends; and
      `left_out`, a list of the estimates for which no example has the modalities.

    Raises:
      RunError: if there is no finished run in the folder, or its model is damaged.
      ValueError: if an option is invalid, or the data do not fit the model.
      OSError: if the dataset is not available, or the file cannot be written.
    """
    run_dir, say = Path(run_dir), functools.partial(print, file=sys.stderr, flush=True) if verbose else lambda _: None
    counts = {"num_samples": num_samples, "importance_samples": importance_samples}
    counts = {name: checks.positive_integer(name, value) for name, value in counts.items()}
    if examples is not None:
        checks.positive_integer("examples", examples)
    if not (run_dir / "metrics.json").is_file():
        state = "is not a finished run" if run_dir.is_dir() else "does not exist"
        raise RunError(
            f"{run_dir} {state}. Expected the folder that tf-jmvae train leaves, such as runs/mnist-jmvae-kl."
        )
    advice = f"Delete the folder {run_dir} and train the run anew."
    config = read_config(run_dir, advice)
    say("Loading the model ...")
    model = load_model(run_dir / "model.keras", advice=advice)
    if num_steps is not None:
        model.iterated_sampling = iteration_of(model, num_steps)
    say("Loading the data ...")
    test = config.data.load(model.modalities, data_dir).test
    available = len(next(iter(test.values())))
    if examples is not None and examples > available:
        raise ValueError(f"examples must lie between 1 and {available}, the size of the test set; got {examples}.")
    test = {name: values[:examples] for name, values in test.items()}

    estimates, rows, left_out = planned(model, **counts), [], []
    for number, (name, one) in enumerate(estimates, start=1):
        say(f"{number}/{len(estimates)}  {one.quantity}, {name}")
        with contextlib.redirect_stdout(sys.stderr):  # for Keras's progress bar
            try:
                found = one.function(model, test, seed=seed, verbose=int(verbose), **one.options).as_dict()
            except NoExamplesError as error:
                left_out.append(f"{one.quantity}, {name}")
                if len(left_out) == len(estimates):
                    raise ValueError(f"{run_dir}: {error}") from error
                continue
        rows.append({"target": one.target, "given": one.given, **{name: found[name] for name in _RECORDED}})
    content = {
        "seed": seed,
        "examples": examples or available,
        "settings": {**counts, "num_steps": model.iterated_sampling.num_steps},
        "rows": rows,
        "left_out": left_out,
        **environment(),
    }
    if keep:
        write_json(run_dir / EVALUATION, content)
    return content
