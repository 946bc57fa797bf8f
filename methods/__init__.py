"""One method a file; the file name is the registry. A name that begins with `_` is what methods share."""
