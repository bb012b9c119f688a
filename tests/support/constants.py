"""Keys, ids and limits that many tests share."""

KEY = "PlantedKey-7f3aQ9z"
"""An API key. It is easy to recognize, and has letters in both cases."""

ID = "665f1c2ab1e4a9d0c7f3b812"
"""The healthy campaign's id, see ``campaigns.campaign``."""

OTHER_ID = "665f1c2ab1e4a9d0c7f3b8aa"
"""The id of another campaign."""

CAMPAIGN_OWNER_ID = "65aa0011223344556677889a"
"""The organization that the healthy campaign belongs to."""

MAIN_ID = "66a0c0ffee0000000000beef"
"""A main organization that is not the organization of the healthy campaign."""

A, B, C = "66a0c0ffee00000000000a0a", "66a0c0ffee00000000000b0b", "66a0c0ffee00000000000c0c"
"""Three sub-organizations."""

SAMPLE_ID = "665f1c2ab1e4a9d0c7f3b801"
"""A running campaign of the sandbox's main organization."""

SAMPLE_IN_SUB_ORGANIZATION = "665f1c2ab1e4a9d0c7f3b806"
"""A campaign of the sandbox's sub-organization."""

NODE_MODULES = "TEST_NODE_MODULES"
"""The environment variable that names the folder with the Node packages of ``tests/node/packages.txt``."""

PATIENCE = 120.0
"""The time limit of a wait, in seconds. It is so long that a test never fails because the machine is slow."""
