"""The wall around a child: root file system, mounts, Landlock."""
