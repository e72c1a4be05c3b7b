"""Protocols of inference servers, one a file: what is asked, and what a right answer is. No I/O inside."""
