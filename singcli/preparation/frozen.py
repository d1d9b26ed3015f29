"""Imported last by the server that makes processes: what it holds is never collected.

Objects that no collection looks at are neither copied into every process nor gone through again
when the server ends.
"""

from __future__ import annotations

import gc

gc.freeze()
