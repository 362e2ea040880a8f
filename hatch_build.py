"""The wheel carries its build epoch: the earliest time that can be true where it runs.

`pints/BUILD_EPOCH` holds one decimal integer, Unix seconds.  In the tree it is the date of the
release; in the wheel it is SOURCE_DATE_EPOCH if the builder sets it.  The tree never changes.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "pints/BUILD_EPOCH"


class BuildEpochHook(BuildHookInterface[Any]):
    """Puts BUILD_EPOCH into the wheel; an editable installation reads the tree's."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel" or version == "editable":
            return
        source = Path(self.root, NAME)
        stamp = os.environ.get("SOURCE_DATE_EPOCH")
        if stamp is not None:
            self._folder = tempfile.TemporaryDirectory()
            source = Path(self._folder.name, "BUILD_EPOCH")
            source.write_text(f"{int(stamp)}\n", encoding="ascii")
        build_data["force_include"][str(source)] = NAME

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if hasattr(self, "_folder"):
            self._folder.cleanup()
