"""The configuration: `tables` has every option, `options` reads a table, `load` reads the files."""
