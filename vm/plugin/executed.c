// SPDX-License-Identifier: GPL-2.0
/*
 * A QEMU plugin that records which code of modules a guest executes.
 *
 * Writes a line to 'out' for each executed block at an address from 'begin' to 'end', in the
 * order in which QEMU translated them: its address and its bytes, both in hexadecimal. A
 * block ends where control may go elsewhere. Several lines with the same address mean that
 * the code there changed.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_plugin.h"

struct block {
	struct block *next;
	__u64 address;
	size_t size;
	bool is_executed;
	unsigned char code[];
};

static struct block *first, **last = &first;
static __u64 begin, end;
static const char *out;
/* Each CPU has its own thread. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void is_executed(unsigned int cpu, void *block)
{
	(void)cpu;
	/* A race is harmless, as all CPUs store the same value. */
	((struct block *)block)->is_executed = true;
}

static struct block *copy_of(struct qemu_plugin_tb *tb)
{
	size_t count = qemu_plugin_tb_n_insns(tb), size = 0;
	struct block *block;

	for (size_t i = 0; i < count; i++)
		size += qemu_plugin_insn_size(qemu_plugin_tb_get_insn(tb, i));
	block = calloc(1, sizeof(*block) + size);
	if (!block)
		abort();
	block->address = qemu_plugin_tb_vaddr(tb);
	for (size_t i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		block->size += qemu_plugin_insn_data(insn, block->code + block->size,
						     size - block->size);
	}
	return block;
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	__u64 address = qemu_plugin_tb_vaddr(tb);
	struct block *block;

	(void)id;
	if (address < begin || address >= end)
		return;
	block = copy_of(tb);
	pthread_mutex_lock(&mutex);
	*last = block;
	last = &block->next;
	pthread_mutex_unlock(&mutex);
	qemu_plugin_register_vcpu_tb_exec_cb(tb, is_executed, NO_REGS, block);
}

static void report(qemu_plugin_id_t id, void *data)
{
	FILE *file = fopen(out, "w");

	(void)id;
	(void)data;
	if (!file)
		return;
	for (struct block *block = first; block; block = block->next) {
		if (!block->is_executed)
			continue;
		fprintf(file, "%llx ", block->address);
		for (size_t i = 0; i < block->size; i++)
			fprintf(file, "%02x", block->code[i]);
		fprintf(file, "\n");
	}
	fclose(file);
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	(void)info;
	begin = number_option(argc, argv, "begin", 16);
	end = number_option(argc, argv, "end", 16);
	out = text_option(argc, argv, "out");
	if (!begin || !end || !out)
		return 1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
	qemu_plugin_register_atexit_cb(id, report, NULL);
	return 0;
}
