"""One server for many callers, over Streamable HTTP: who may call, what they may see, and how it is looked after."""
