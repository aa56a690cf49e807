"""Every seam to the Singer SDK: streams, the message writer, checks of input files."""
