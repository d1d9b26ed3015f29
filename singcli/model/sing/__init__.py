"""SING, the network of the paper, without torch: attention, sampling, the model file."""
