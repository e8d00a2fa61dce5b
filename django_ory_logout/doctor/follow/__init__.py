"""Following a logout (``--follow``): its steps as they happen, and the first step that is missing."""
