"""MultiVae's side of `importance_sampling.py`: the joint negative log-likelihood of a file's images and weights."""

import time

import libraries
import networks
import numpy as np
import protocol
import torch
from multivae.data import MultimodalBaseDataset


class Scores:
    def load(self, path: str) -> None:
        arrays = np.load(path)
        torch.manual_seed(0)
        by_hand = networks.JMVAE(networks.MNIST)
        networks.load(by_hand, arrays)
        self._model = libraries.multivae(networks.MNIST)
        self._model.joint_encoder.network.load_state_dict(by_hand.joint.state_dict())
        for name, decoder in self._model.decoders.items():
            decoder.network.load_state_dict(by_hand.decoders[name].state_dict())
        self._data = MultimodalBaseDataset({name: torch.tensor(arrays[f"batch/{name}"]) for name in "xw"})

    @torch.no_grad()
    def score(self, samples: int) -> dict[str, float]:
        """Seconds of all examples, and the mean estimate."""
        start = time.perf_counter()
        total = float(self._model.compute_joint_nll(self._data, K=samples))
        return {"seconds": time.perf_counter() - start, "mean": -total / len(self._data)}


if __name__ == "__main__":
    scores = Scores()
    protocol.serve({"load": scores.load, "score": scores.score}, ("torch", "multivae"))
