"""The paper's benchmark: models and what stands beside them, over the same test segments."""
