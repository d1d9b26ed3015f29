"""From files of many kinds to scores: the parts of `singcli.prepare`."""
