"""What ``realtime check`` looks at: a snapshot, a journal; and what it can do about a journal."""
