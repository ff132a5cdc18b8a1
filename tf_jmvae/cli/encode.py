"""`tf-jmvae encode`: writes the latents of a table's rows."""

from dataclasses import dataclass
from pathlib import Path

from tf_jmvae.cli.of_table import OfTable, opened


@dataclass(frozen=True, kw_only=True)
class Options(OfTable):
    """Write the mean of q(z | row) for each row of a table, from whatever the row holds.

    Examples:
      tf-jmvae encode pets.csv --run runs/pets --output latents.npy
      tf-jmvae encode pets.csv --run runs/pets --output latents.parquet
    """

    output: Path
    """File for the latents: a .npy, or a .csv or .parquet with columns z0, z1 and so on."""


def run(options: Options) -> None:
    """Encodes the rows and prints the path of the latents."""
    model, table, asking = opened(options, options.output, ".npy")
    from tf_jmvae import tables
    from tf_jmvae.tables import writing

    z = tables.encode(model, table, **asking)
    writing.write_latents(z, options.output)
    print(f"{options.output}: {z.shape[0]:,} rows of {z.shape[1]} latents.")
