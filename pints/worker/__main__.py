"""`python3 -m pints.worker`: started by the daemon, with a socket as its standard input."""

from pints.worker.privileges import drop

if __name__ == "__main__":
    drop()
    from pints.worker.run import main

    main()
