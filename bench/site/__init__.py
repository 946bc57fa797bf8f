"""The leaderboard: static pages of published rows and records, which open from disk without a network.

`records` reads the accepted records and the run records given, `rows` sets them beside the published rows, a
row each. `index_page`, `dataset_page` and `record_page` are the pages, `grid` is the table, `chart` draws the
charts, `style` and `script` are what the pages carry, and `site_folder` writes everything.
"""
