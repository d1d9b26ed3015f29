"""What inference needs: the contract of a model file, its runtime, sampling and steering."""
