# SPDX-License-Identifier: GPL-2.0
#
# Builds the programs of a folder, each from one file. Needs CC, OUTPUT, and KSFT, which is
# tools/testing/selftests of a kernel source tree.

PROGRAMS := $(addprefix $(OUTPUT)/,$(patsubst %.c,%,$(wildcard *.c)))

all: $(PROGRAMS)

$(OUTPUT)/%: %.c $(wildcard *.h ../selftests/*.h) ../include/uapi/linux/ashmem.h
	$(CC) -Wall -O2 -Wno-pointer-to-int-cast -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 \
		-I../selftests -I../include/uapi -I$(KSFT) -static -o $@ $<
