"""The steps of install.sh, by the machine's own Python and nothing but its standard library.

Everything lies in /opt/pints, but for what must lie elsewhere; the manifest names that.

    a, b                  one of them is the private environment; an upgrade builds the other
    current               link to the one in use; bin, lib and pyvenv.cfg lead through it
    share                 drop-ins of the service that a user may want, and the documentation
    manifest              files and folders made outside; written before they are made
    stopped               time services that were switched off, and what they were before
    install.sh, installer this program, to remove pints without a clone
    source                what is being installed, while it is

This is no part of the wheel: the Debian package has no use for it.
"""
