"""`tf-jmvae evaluate`: estimates a run's log-likelihoods."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tf_jmvae._utils.tables import lines
from tf_jmvae.cli.common import Common, RunFolder, default, load_tensorflow, require_at_least, watched


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Estimate a run's log-likelihoods on its test set, in nats per example: higher is better.

    Every direction of the model gets the paper's bound, Eq. (11): "single" if the target is not given, "multiple" if it
    is. Joint models also get importance estimates of log p(all) and of each log p(m), one-way models of
    log p(target | given). All of it is saved in RUN/evaluation.json.

    Examples:
      tf-jmvae evaluate runs/mnist-jmvae-kl
      tf-jmvae evaluate runs/mnist-jmvae-kl --examples 1000 --importance-samples 1000
      tf-jmvae evaluate runs/mnist-jmvae --num-steps 100 --data-dir ~/mnist
    """

    run: RunFolder
    """The folder of a finished run."""
    num_samples: int = 10
    """Samples of z per example for each bound (the paper: 10)."""
    importance_samples: int = 100
    """Samples of z per example for each importance estimate."""
    num_steps: Annotated[int | None, default("the run's")] = None
    """Steps of iterated sampling, for models that need it."""
    examples: Annotated[int | None, default("all")] = None
    """Use only this many examples, the first ones of the test set."""
    seed: int = 0
    """Seed of all samples."""
    data_dir: Annotated[Path | None, default("the run's")] = None
    """Folder with the dataset's original files."""


def run(options: Options) -> None:
    """Evaluates the run and prints the table."""
    require_at_least(1, examples=options.examples)
    load_tensorflow(debug=options.debug)
    from tf_jmvae.training.evaluate import EVALUATION, evaluate_run

    settings = {name: value for name, value in vars(options).items() if name not in ("run", "debug")}
    found = evaluate_run(options.run, **settings, verbose=watched())
    print(f"{options.run}: {found['examples']} test examples, nats per example\n")
    header = ("quantity", "estimator", "mean", "std. error", "ESS", "samples")
    print(lines(header, [_cells(row) for row in found["rows"]], left=range(2)))
    print("\nESS is the effective sample size; where it is small, more --importance-samples would raise the estimate.")
    if found["left_out"]:
        print(f"Left out, because no test example has what they need: {'; '.join(found['left_out'])}.")
    print(f"These numbers are in {options.run / EVALUATION}.")


def _cells(row: dict[str, Any]) -> list[str]:
    estimator = row["estimator"]
    if estimator == "conditional bound":
        estimator += ", multiple" if set(row["target"]) & set(row["given"]) else ", single"
    digits = {"mean": 3, "standard_error": 3, "effective_sample_size": 1}
    numbers = ("" if row[name] is None else f"{row[name]:.{places}f}" for name, places in digits.items())
    return [row["quantity"], estimator, *numbers, str(row["num_samples"])]
