"""The sections of the tour, one file each; every file has one function that makes its section."""
