"""Sessions as a folder of files that any file host serves: the player without a server."""

from .folder import Exported as Exported
from .folder import NotExportable as NotExportable
from .folder import export_static as export_static
