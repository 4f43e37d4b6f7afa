# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Which kernels the driver is for. Everything that says so or asks for it reads it here,
# line by line, so each is a plain assignment.

# The oldest series that it can be built for.
OLDEST_KERNEL=6.18
# The oldest whose tree can have it: before, it takes another crate in place of `kernel`.
OLDEST_TREE=7.1
# Those that it is tested with, oldest first.
TESTED_KERNELS="6.18 7.1 7.2 7.3"
