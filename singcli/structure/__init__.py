"""The world of repetition: self-similarity matrices, forms, repeat maps. Pure numpy."""
