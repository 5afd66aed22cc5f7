"""The command line: thin faces over workflows."""
