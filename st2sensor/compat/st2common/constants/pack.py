"""StackStorm's names for packs that always exist."""

PACK_REF_WHITELIST_REGEX = r"^[a-z0-9_]+$"

DEFAULT_PACK_NAME, SYSTEM_PACK_NAME, PACKS_PACK_NAME = "default", "core", "packs"
CHATOPS_PACK_NAME, LINUX_PACK_NAME, EXAMPLES_PACK_NAME = "chatops", "linux", "examples"
SYSTEM_PACK_NAMES = [CHATOPS_PACK_NAME, SYSTEM_PACK_NAME, PACKS_PACK_NAME]
