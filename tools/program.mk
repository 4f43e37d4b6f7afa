# SPDX-License-Identifier: GPL-2.0
#
# Common rules for the programs here.

ifneq ($(words $(CURDIR)),1)
$(error The path of this checkout, '$(CURDIR)', has spaces, which make cannot handle: move it)
endif

OUTPUT ?= $(CURDIR)
CFLAGS ?= -O2
# The version of the module, which is defined only there.
VERSION := $(or $(shell sed -n 's/^module::version!("\(.*\)");$$/\1/p' ../../rust_ashmem.rs),unknown)
COMPILE = $(CC) -std=gnu11 -Wall -Wextra -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DVERSION='"$(VERSION)"' \
	$(CPPFLAGS) $(CFLAGS) $(LDFLAGS)
