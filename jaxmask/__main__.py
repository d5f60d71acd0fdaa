"""``python -m jaxmask`` is the console command ``jaxmask``, where that isn't on the path."""

from jaxmask.command import main

if __name__ == "__main__":
    main()
