"""Commands of `finetune`, found by name from the `expunge` command: one file each, and beside them what they share."""
