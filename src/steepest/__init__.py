"""steepest."""
