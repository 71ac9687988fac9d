"""The command `python -m skt`."""

from skt.cli import main

if __name__ == "__main__":
    main()
