"""The only rooms that import torch: networks, examples, loop, checkpoints, export."""
