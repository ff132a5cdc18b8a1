"""Shards of batches for workers: together they are the batch, whatever is done to it, and each is made alone."""

import numpy as np
import pytest

from tf_jmvae.data import from_arrays
from tf_jmvae.distribute.replicas import Shards

SIZE = 23
RANDOM = np.random.default_rng(0)
ARRAYS = {
    "x": RANDOM.random((SIZE, 4, 6, 2)).astype(np.float32),
    "photo": RANDOM.integers(0, 256, (SIZE, 2, 6, 3)).astype(np.uint8),
    "w": np.arange(SIZE, dtype=np.float32)[:, None],
}
OPTIONS = {
    "batch_size": 9,
    "shuffle": True,
    "binarize": ["x"],
    "mirror": ["photo"],
    "redraw": {"photo": np.arange(SIZE) % 3},
    "seed": 4,
    "epochs": range(1, 3),
}


@pytest.mark.parametrize(("total", "workers"), [(2, 2), (4, 2), (10, 1), (3, 3)])
def test_shares_of_all_workers_make_up_each_batch(total, workers):
    here = total // workers
    shards = [Shards(range(first, first + here), total) for first in range(0, total, here)]
    made = [list(from_arrays(ARRAYS, shards=own, **OPTIONS).as_numpy_iterator()) for own in shards]
    whole = list(from_arrays(ARRAYS, **OPTIONS).as_numpy_iterator())
    assert [len(elements) for elements in made] == [len(whole) * here] * workers
    for number, batch in enumerate(whole):
        parts = [elements[number * here + own] for elements in made for own in range(here)]
        sizes = [len(part["w"]) for part in parts]
        assert max(sizes) - min(sizes) <= 1
        for name, values in batch.items():
            assert np.array_equal(np.concatenate([part[name] for part in parts]), values), name


def test_a_worker_reads_its_own_rows_only(tmp_path):
    class Reads(np.memmap):
        def __getitem__(self, rows):
            read.extend(np.atleast_1d(rows))
            return super().__getitem__(rows)

    read = []
    array = Reads(tmp_path / "array", np.float32, "w+", shape=(20, 3))
    list(from_arrays({"x": array}, batch_size=10, shards=Shards(range(1, 2), 2), epochs=range(1)))
    assert sorted(read) == [*range(5, 10), *range(15, 20)]


@pytest.mark.parametrize("which", [range(0), range(2, 5), range(-1, 1)])
def test_shares_that_there_are_not(which):
    with pytest.raises(ValueError, match="Shards must be numbers from 0 to 3, at least one"):
        Shards(which, 4)
