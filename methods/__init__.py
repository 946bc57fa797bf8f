"""The methods, one in each file, under the file's name; files that begin with `_` hold what methods share.

A user's methods are modules of this package too: `methods.mine` is found in any folder of the search path.
"""

from bench.base.search_path import method_folders

__path__ = method_folders()
