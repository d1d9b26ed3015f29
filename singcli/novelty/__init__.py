"""What a piece shares with the songs that a model was trained on, and how much that is."""
