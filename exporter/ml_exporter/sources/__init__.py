"""One file a kind of backend; the file is the kind."""
