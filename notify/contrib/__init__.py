"""Task queues whose tasks are shown to their users; each module needs the extra of its name."""
