"""Image data sets with measured memorability, each as one DataFrame; nothing is downloaded.

The columns are "path" (str, absolute), "memorability" (float64, what people remembered; NaN where there is no value),
"split" and "group" (str, None where the data set has none) and "n_ratings" (float64, NaN where it is unknown). Data
sets that publish counts have the columns "hits", "misses", "false_alarms" and "correct_rejections" too.
"""

from resmem_plugin.datasets.figrim import figrim
from resmem_plugin.datasets.lamem import lamem
from resmem_plugin.datasets.manifest import manifest
from resmem_plugin.datasets.memcat import memcat
from resmem_plugin.datasets.things import things

__all__ = ["figrim", "lamem", "manifest", "memcat", "things"]
