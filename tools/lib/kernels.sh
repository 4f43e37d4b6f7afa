# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The kernels that the driver supports. Other files parse these lines, so each must be a
# plain assignment.

# The oldest series that the driver can be built for.
OLDEST_KERNEL=6.18
# The oldest series whose tree it can be put into. Older ones need a replacement of the
# `kernel` crate.
OLDEST_TREE=7.1
# The series that it is tested with, oldest first.
TESTED_KERNELS="6.18 7.1 7.2 7.3"
