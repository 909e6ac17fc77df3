"""The features on Redis or Valkey: one server, Sentinels, or a cluster.

store            all of it together
  strings boards buckets sessions channels presence watches      the parts of the seam
    └── scripts, lua/       one atomic step each
  wire           a question to the server that has its key
    topology     which server that is
    link         one connection to one server, for everybody
      question replicas ending      what is on it, what it waits for, how it ends
      dial address                  how it is opened
  broker probe   what is published, brought here; and whether it still is
"""
