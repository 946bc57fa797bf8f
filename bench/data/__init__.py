"""Turn the original files of a data set into a prepared store: read, check, resize once, write."""
