"""PyTorch's side of `products.py`: the rate of one matrix product."""

import protocol
import torch


@torch.inference_mode()
def rate(dtype: str, shape: list[int], seconds: float) -> float:
    """In GFLOP/s, with the second matrix laid out as a layer's weight."""
    rows, inner, columns = shape
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(rows, inner, generator=generator).to(getattr(torch, dtype))
    right = torch.randn(columns, inner, generator=generator).to(getattr(torch, dtype))
    output = torch.empty(rows, columns, dtype=left.dtype)
    torch.matmul(left, right.T, out=output)
    took = protocol.repeat(lambda: torch.matmul(left, right.T, out=output), seconds)
    return 2 * rows * inner * columns / took / 1e9


if __name__ == "__main__":
    protocol.serve({"rate": rate})
