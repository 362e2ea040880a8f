"""The Debian package and install.sh in real Debians: installed over others, upgraded, removed.

`make test-package`.  What each file lays down, and what is shared:

| tree | a Debian as an overlay, and what differs from it |
| machine | such a tree: still, for packages, or running its own systemd |
| conftest | the trees and the package, made once in a run |
"""
