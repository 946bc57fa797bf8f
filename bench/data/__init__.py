"""From a data set card to a prepared store: read, check, resize once, write."""
