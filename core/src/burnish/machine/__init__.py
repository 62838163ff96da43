"""What this machine has: its devices and what is free of them, its GPUs by the driver, room on its disks. The services and the client ask."""
