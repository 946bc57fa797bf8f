"""Tools that every other package of the suite uses: files, processes, signals, progress, command lines."""
