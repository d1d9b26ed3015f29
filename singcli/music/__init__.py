"""The world of notes: files, grids, scores and rolls. Pure numpy but for the MIDI edge."""
