"""The methods, one in each file, under the file's name; files that begin with `_` hold what methods share."""
