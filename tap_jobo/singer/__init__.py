"""All code that touches the Singer SDK: streams, the message writer, checks of input files."""
