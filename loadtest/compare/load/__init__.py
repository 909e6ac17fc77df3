"""Load generators: small programs, each in a process of its own so as not to blur what it loads."""
