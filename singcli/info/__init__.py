"""What files are, under which licences, and how they were made."""
