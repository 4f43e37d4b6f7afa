/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The assembly of a static branch, for src/trace.rs. The kernel makes the same for
 * itself, in a file that the headers packages of distributions do not have.
 */
#include <linux/jump_label.h>

// Cut here.

::kernel::concat_literals!(ARCH_STATIC_BRANCH_ASM("{symb} + {off} + {branch}", "{l_yes}"))
