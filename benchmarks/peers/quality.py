"""PyTorch's side of `quality.py`: trains JMVAE-kl on MNIST by hand, an epoch at a time."""

import math
import time

import networks
import numpy as np
import protocol
import torch
from training import ByHand, batches


class Training:
    """The schedule of `quality.py`: cosine decay by step, linear KL warm-up by epoch."""

    def start(
        self, path: str, options: list[str], batch: int, epochs: int, rate: float, alpha: float, warm_up: int, seed: int
    ) -> None:
        """Takes the images and the first weights from a file."""
        arrays = np.load(path)
        torch.manual_seed(seed)
        self._by_hand = ByHand(networks.MNIST, set(options), rate, alpha)
        networks.load(self._by_hand.model, arrays)
        data = {"x": torch.tensor(arrays["train/x"]).float().flatten(1) / 255, "w": torch.tensor(arrays["train/w"])}
        self._batches = batches(data, batch, ["x"])
        self._steps = -(-len(data["w"]) // batch)
        self._epochs, self._rate, self._warm_up = epochs, rate, warm_up

    def epoch(self, number: int) -> float:
        """Trains epoch `number`, from 0; seconds."""
        start = time.perf_counter()
        kl_weight = torch.tensor(min(1.0, number / self._warm_up) if self._warm_up else 1.0)
        for step in range(number * self._steps, (number + 1) * self._steps):
            rate = self._rate * 0.5 * (1 + math.cos(math.pi * step / (self._epochs * self._steps)))
            for group in self._by_hand.optimizer.param_groups:
                group["lr"] = rate
            self._by_hand.step(next(self._batches), kl_weight)
        return time.perf_counter() - start

    def dump(self, path: str) -> None:
        """Writes the weights as Keras has them."""
        np.savez(path, **networks.dump(self._by_hand.model))

    def save(self, path: str, epoch: int) -> None:
        """Writes what is needed to go on after so many epochs."""
        state = {
            "epoch": epoch,
            "model": self._by_hand.model.state_dict(),
            "optimizer": self._by_hand.optimizer.state_dict(),
        }
        torch.save({**state, "random": torch.get_rng_state()}, path)

    def restore(self, path: str) -> int:
        """The reverse of `save`: how many epochs are done. What `start` was given must be given again."""
        state = torch.load(path)
        self._by_hand.model.load_state_dict(state["model"])
        self._by_hand.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        return state["epoch"]


if __name__ == "__main__":
    training = Training()
    protocol.serve(
        {name: getattr(training, name) for name in ("start", "epoch", "dump", "save", "restore")}, ("torch",)
    )
