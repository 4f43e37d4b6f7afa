// SPDX-License-Identifier: GPL-2.0
/*
 * A QEMU plugin that finds cache lines that two CPUs of a guest write.
 *
 * Each CPU is watched from the address 'begin' to the address 'end'. Writes a line to
 * 'out' for each cache line of the kernel that more than one CPU wrote at least 'least'
 * times: its address, the number of writes of each CPU, and the addresses of the code.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_plugin.h"

#define CPUS	2
#define WRITERS	8
#define LINES	65536
#define KERNEL	0x8000000000000000ULL

static struct line {
	__u64 address, writes[CPUS], writers[WRITERS];
} lines[LINES];

static __u64 begin, end, least;
static const char *out;
static bool is_watched[CPUS];
/* Each CPU has its own thread. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static struct line *line_of(__u64 address)
{
	size_t at = address / 64 * 0x9e3779b97f4a7c15ULL >> 48;

	address &= ~63ULL;
	while (lines[at].address && lines[at].address != address)
		at = (at + 1) % LINES;
	lines[at].address = address;
	return lines + at;
}

static void count_write(unsigned int cpu, __u64 address, __u64 code)
{
	struct line *line = line_of(address);

	line->writes[cpu]++;
	for (int i = 0; i < WRITERS; i++) {
		if (!line->writers[i])
			line->writers[i] = code;
		if (line->writers[i] == code)
			return;
	}
}

static void is_written(unsigned int cpu, qemu_plugin_meminfo_t info, __u64 address, void *code)
{
	(void)info;
	if (cpu >= CPUS || !is_watched[cpu] || address < KERNEL)
		return;
	pthread_mutex_lock(&mutex);
	count_write(cpu, address, (unsigned long)code);
	pthread_mutex_unlock(&mutex);
}

static void watch_begins(unsigned int cpu, void *data)
{
	(void)data;
	if (cpu < CPUS)
		is_watched[cpu] = true;
}

static void watch_ends(unsigned int cpu, void *data)
{
	(void)data;
	if (cpu < CPUS)
		is_watched[cpu] = false;
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		__u64 code = qemu_plugin_insn_vaddr(insn);

		if (code == begin)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, watch_begins, NO_REGS, NULL);
		if (code == end)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, watch_ends, NO_REGS, NULL);
		if (code >= KERNEL)
			qemu_plugin_register_vcpu_mem_cb(insn, is_written, NO_REGS, WRITE,
							 (void *)(unsigned long)code);
	}
}

static void report(qemu_plugin_id_t id, void *data)
{
	FILE *file = fopen(out, "w");

	(void)id;
	(void)data;
	if (!file)
		return;
	for (struct line *line = lines; line < lines + LINES; line++) {
		if (line->writes[0] < least || line->writes[1] < least)
			continue;
		fprintf(file, "%llx %llu %llu", line->address, line->writes[0], line->writes[1]);
		for (int i = 0; i < WRITERS && line->writers[i]; i++)
			fprintf(file, " %llx", line->writers[i]);
		fprintf(file, "\n");
	}
	fclose(file);
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	(void)info;
	begin = number_option(argc, argv, "begin", 16);
	end = number_option(argc, argv, "end", 16);
	least = number_option(argc, argv, "least", 10);
	out = text_option(argc, argv, "out");
	if (!begin || !end || !least || !out)
		return 1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
	qemu_plugin_register_atexit_cb(id, report, NULL);
	return 0;
}
