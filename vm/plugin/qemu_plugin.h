/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The part of QEMU's plugin API that our plugins use. The API is stable, but not every
 * distribution has a package with qemu-plugin.h.
 */
#ifndef _QEMU_PLUGIN_H
#define _QEMU_PLUGIN_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <linux/types.h>

#define EXPORT	__attribute__((visibility("default")))

typedef __u64 qemu_plugin_id_t;
typedef __u32 qemu_plugin_meminfo_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

enum { NO_REGS, READ = 1, WRITE };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
					   void (*f)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
					  void (*f)(unsigned int, void *), int regs, void *data);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*f)(qemu_plugin_id_t, void *),
				    void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
					    void (*f)(unsigned int, void *), int regs, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
				      void (*f)(unsigned int, qemu_plugin_meminfo_t, __u64,
						void *),
				      int regs, int what, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
__u64 qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *to, size_t size);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
__u64 qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

/* What QEMU looks for in a plugin. */
EXPORT int qemu_plugin_version = 4;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv);

/* What is said of 'name', in the form name=value, or NULL. QEMU frees it after the install. */
static inline const char *option(int argc, char **argv, const char *name)
{
	size_t len = strlen(name);

	for (int i = 0; i < argc; i++)
		if (!strncmp(argv[i], name, len) && argv[i][len] == '=')
			return argv[i] + len + 1;
	return NULL;
}

/* The same as a number, or 0. */
static inline __u64 number_option(int argc, char **argv, const char *name, int base)
{
	const char *text = option(argc, argv, name);

	return text ? strtoull(text, NULL, base) : 0;
}

/* The same as a text that stays, or NULL. */
static inline const char *text_option(int argc, char **argv, const char *name)
{
	const char *text = option(argc, argv, name);

	return text ? strdup(text) : NULL;
}

#endif
