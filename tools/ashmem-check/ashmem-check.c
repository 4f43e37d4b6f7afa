// SPDX-License-Identifier: GPL-2.0
/*
 * ashmem-check: says whether Android's shared memory works on this machine, and if it
 * does not, what is wrong and what to do. See --help.
 *
 * The parts of it are files of their own: machine.c, module.c and modprobe.c look at kernel
 * and driver, manager.c and node.c at the device's nodes, region.c and compat.c try the calls,
 * and security.c, waydroid.c and containers.c look at what uses them. Each prints findings
 * through report.c, the cause before what follows.
 */
#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "check.h"

static const char usage[] =
	"Usage: ashmem-check [--json | --fix] [--purge]\n"
	"\n"
	"Says whether Android's shared memory, /dev/ashmem, works for whoever runs this, for\n"
	"Waydroid, redroid and others: one line for each finding, \"ok\", \"note\", or \"BROKEN\"\n"
	"with what to do; then the verdict. Needs no root, but root sees more; what it did not\n"
	"get to see is a note, \"not looked at\", and then nothing is called good. It makes\n"
	"regions of its own and changes nothing else.\n"
	"\n"
	"  --json     print an object instead: findings, an array of objects with id, status\n"
	"             (ok, note, broken), text and advice (or null); problems, the number of\n"
	"             those that are broken; verdict (good, broken, or unknown if nothing is\n"
	"             broken and something was not looked at); version\n"
	"  --fix      print a script instead, for root to read and run, that mends what is\n"
	"             BROKEN; what no script can mend is a comment in it. Runs nothing\n"
	"  --purge    also try ASHMEM_PURGE_ALL_CACHES, as root: that drops everything which\n"
	"             programs have unpinned, on the whole system; they must make it anew\n"
	"  --help     print this\n"
	"  --version  print the version\n"
	"\n"
	"ASHMEM_CHECK_ROOT is a directory to take for / when files and nodes are looked at, for\n"
	"tests.\n"
	"\n"
	"Exit status: 0 all is well, 1 something is BROKEN, 2 usage, or an error of its own,\n"
	"3 nothing is BROKEN, but something was not looked at.\n";

static const struct option options[] = {
	{ "fix", no_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ "json", no_argument, NULL, 'j' },
	{ "purge", no_argument, NULL, 'p' },
	{ "version", no_argument, NULL, 'v' },
	{ },
};

int main(int argc, char **argv)
{
	enum form form = LINES;
	bool purge = false;
	int option, fd, status;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'h':
			return fputs(usage, stdout) < 0 || fflush(stdout) ? 2 : 0;
		case 'f':
		case 'j':
			if (form != LINES) {
				fputs(usage, stderr);
				return 2;
			}
			form = option == 'j' ? JSON : SCRIPT;
			break;
		case 'p':
			purge = true;
			break;
		case 'v':
			return puts("ashmem-check " VERSION) < 0 || fflush(stdout) ? 2 : 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fputs(usage, stderr);
		return 2;
	}

	report_begin(form);
	check_machine();
	check_manager();
	fd = check_nodes();
	if (fd >= 0) {
		check_region(purge);
		check_compat();
		close(fd);
	}
	check_memfd();
	check_security();
	check_waydroid(fd >= 0);
	check_containers();
	status = report_end();
	if (status == 2)
		errx(2, "Cannot print all findings: is the disk full, or the reader gone?");
	return status;
}
