"""SING in torch: network, loss, loop and export."""
