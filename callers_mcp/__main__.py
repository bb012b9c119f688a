"""Run ``callers-mcp`` as ``python -P -m callers_mcp``."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the working folder: for example, a project's click.py must not be imported
    from callers_mcp.cli import main

    main()
