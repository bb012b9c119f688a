"""Run ``callers-mcp`` as ``python -m callers_mcp``."""

from callers_mcp.cli import main

if __name__ == "__main__":
    main()
