"""``python -m callers_mcp`` is ``callers-mcp``."""

from callers_mcp.cli import main

if __name__ == "__main__":
    main()
